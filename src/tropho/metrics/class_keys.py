"""ASCII names of classes for MLflow."""

import re
from collections.abc import Sequence


def ascii_names(classes: Sequence[str]) -> dict[str, str]:
    """Map each class to a unique name of the characters that MLflow takes, with `_` for all others.

    Classes that would share a name get -2, -3, ... in their order; names that need no change stay.
    """
    bases = {name: _to_ascii(name) for name in classes}
    taken = {name.lower() for name in classes if bases[name] == name}
    keys = {}
    for name, base in bases.items():
        key, number = base, 1
        while key != name and key.lower() in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key.lower())
        keys[name] = key
    return keys


def _to_ascii(name: str) -> str:
    text = re.sub(r"[^\w\-.: ]", "_", name, flags=re.ASCII)[:100]
    text = re.sub(r"^ | $", "_", text)
    return text if set(text) - {"."} else "_" * max(1, len(text))
