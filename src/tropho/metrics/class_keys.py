"""Names of classes in places that take ASCII letters alone."""

import re
from collections.abc import Sequence


def ascii_names(classes: Sequence[str]) -> dict[str, str]:
    """Name each class by what MLflow takes: letters, digits, `_ - . :` and spaces, `_` for all else.

    Classes that would share a name get -2, -3, ... in their order, after those that keep their own.
    """
    plain = {name: _plain(name) for name in classes}
    taken = {name.lower() for name in classes if plain[name] == name}
    names = {}
    for name, base in plain.items():
        chosen, number = base, 1
        while chosen != name and chosen.lower() in taken:
            number += 1
            chosen = f"{base}-{number}"
        taken.add(chosen.lower())
        names[name] = chosen
    return names


def _plain(name: str) -> str:
    text = re.sub(r"[^\w\-.: ]", "_", name, flags=re.ASCII)[:100]
    text = re.sub(r"^ | $", "_", text)
    return text if set(text) - {"."} else "_" * max(1, len(text))
