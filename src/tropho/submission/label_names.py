"""Which class a word of the sample submission means, and how the sample would write the others."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tropho.submission.sample_file import fold

Namer = Callable[[str], str]

_PREFIX = re.compile(r"(p|prob|proba|probability|is|has|class|label|target|cls)[\s_-]+", re.IGNORECASE)
_ABSENT = re.compile(r"(no|non|not|without)[\s_-]|un(infect|affect)|notumou?r")
_POSITIVE = frozenset({"1", "1.0", "true", "yes", "y", "t", "positive", "pos", "present", "abnormal"})
_NEGATIVE = frozenset(
    {"0", "0.0", "false", "no", "n", "f", "negative", "neg", "absent", "none", "normal", "healthy", "nothing", "other"}
)


@dataclass(frozen=True)
class LabelNames:
    """The classes of a task by every name that a sample may have for them.

    Attributes:
        classes: class names; in order, the negative class of a detection task last.
        originals: {label in the files: class}, as audit.class_map says.
        numbered: whether the order of the classes is the user's own, so that a number means a place in it.
    """

    classes: list[str]
    originals: dict[str, str | None] = field(default_factory=dict)
    numbered: bool = False

    def match(self, words: Iterable[str]) -> dict[str, str]:
        """The class of each word that names one: exactly, as in the files, loosely, or by its number."""
        left = list(dict.fromkeys(words))
        found: dict[str, str] = {}
        for names in self._levels(left):
            found |= {word: names[word] for word in left if word in names}
            left = [word for word in left if word not in found]
        return found

    def match_once(self, words: Iterable[str]) -> dict[str, str]:
        """The same for columns: a class belongs to the word that names it best, or to none if two do equally well."""
        left = list(words)
        found: dict[str, str] = {}
        for names in self._levels(left):
            named = defaultdict(list)
            for word in left:
                if word in names and names[word] not in found.values():
                    named[names[word]].append(word)
            found |= {same[0]: name for name, same in named.items() if len(same) == 1}
            left = [word for word in left if word not in found]
        return found

    def namer(self, shown: Iterable[str]) -> Namer:
        """How the sample writes any class, as told by the words that it shows."""
        matched = self.match(shown)
        for source in self._sources(list(matched)):
            for style in _STYLES:
                if matched and all(_styled(style, source[name]) == word for word, name in matched.items()):
                    return {name: _styled(style, text) for name, text in source.items()}.__getitem__
        known = {name: word for word, name in reversed(matched.items())}
        return lambda name: known.get(name, self.original(name))

    def original(self, name: str) -> str:
        """What the label files call a class; its own name where several labels became one."""
        labels = [label for label, target in self.originals.items() if target == name]
        return labels[0] if len(labels) == 1 else name

    def positive(self, column: str) -> str:
        """The class whose probability a column holds that has a cell an image, of two classes."""
        low, high = self.classes
        words = set(re.split(r"[^0-9a-z]+", column.casefold())) | {fold(column)}
        for name, other in ((high, low), (low, high)):
            mine, others = _forms(name, self.original(name)), _forms(other, self.original(other))
            if mine & words and not others & words:
                return name
        for name, other in ((high, low), (low, high)):
            if _forms(name, self.original(name)) & _POSITIVE or (_is_negative(other) and not _is_negative(name)):
                return name
        return high

    def _levels(self, words: list[str]) -> list[dict[str, str]]:
        """{word: class} by how good a name it is, best first."""
        sources = [{name: name for name in self.classes}, self._unique_originals()]
        numbers = [_by_value(source, _number, words) for source in sources]
        loose = [_by_value(source, fold, words) for source in sources]
        bare = [_by_value(source, lambda word: fold(_PREFIX.sub("", word, 1)), words) for source in sources]
        places = self._places(words)
        return [*sources, *loose, *bare, *numbers, {text: name for name, text in places.items()}]

    def _unique_originals(self) -> dict[str, str]:
        """{label in the files: class} where no other label became the same class."""
        targets = [target for target in self.originals.values() if target is not None]
        return {label: to for label, to in self.originals.items() if to is not None and targets.count(to) == 1}

    def _places(self, words: Iterable[str]) -> dict[str, str]:
        """{class: its number} where the order of classes is known and every word is such a number; else {}."""
        numbers = [float(_number(word) or "nan") for word in words]
        count = len(self.classes)
        if not self.numbered or not numbers or not all(each.is_integer() for each in numbers):
            return {}
        values = {int(each) for each in numbers}
        first = 1 if count in values and 0 not in values else 0
        if not values <= set(range(first, count + first)):
            return {}
        return {name: str(place) for place, name in enumerate(self.classes, first)}

    def _sources(self, words: list[str]) -> list[dict[str, str]]:
        """{class: text} by what the words may be spelled after."""
        originals = {to: label for label, to in self._unique_originals().items()}
        whole = [{name: name for name in self.classes}, {name: originals.get(name, name) for name in self.classes}]
        places = self._places(words)
        return [*whole, places] if places else whole


def _by_value(source: dict[str, str], key: Callable[[str], str | None], words: list[str]) -> dict[str, str]:
    """{word: class} of words that are the same as one name of the source by `key`, and as no other."""
    named = defaultdict(set)
    for text, name in source.items():
        if key(text):
            named[key(text)].add(name)
    return {word: next(iter(named[key(word)])) for word in words if len(named.get(key(word), ())) == 1}


def _forms(*names: str) -> set[str]:
    return {fold(name) for name in names}


def _is_negative(name: str) -> bool:
    return fold(name) in _NEGATIVE or _ABSENT.match(name.casefold()) is not None


def _number(word: str) -> str | None:
    """The word's value as text, such as 1.0 for "01"; None where it is no plain number."""
    return str(float(word)) if re.fullmatch(r"\d{1,15}(\.\d+)?", word.strip()) else None


def _decimal(text: str) -> str:
    return str(float(int(text)))


def _whole(text: str) -> str:
    return str(int(float(text)))


def _spaced(text: str) -> str:
    return text.replace("_", " ")


_STYLES: list[Namer] = [
    str,
    str.lower,
    str.upper,
    str.capitalize,
    str.title,
    _spaced,
    lambda text: _spaced(text).capitalize(),
    lambda text: _spaced(text).title(),
    lambda text: re.sub(r"[\s-]", "_", text),
    lambda text: re.sub(r"[\s-]", "_", text).lower(),
    _decimal,
    _whole,
    *(lambda text, width=width: f"{int(text):0{width}d}" for width in (2, 3, 4, 5)),
]


def _styled(style: Namer, text: str) -> str:
    """The text in the style; itself where that can't be, such as a decimal of a name."""
    try:
        return style(text)
    except ValueError:
        return text
