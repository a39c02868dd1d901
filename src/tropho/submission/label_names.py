"""Match the labels of a sample submission to classes, and write other classes in the same style."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tropho.submission.sample_file import fold

Writer = Callable[[str], str]

_PREFIX = re.compile(r"(p|prob|proba|probability|is|has|class|label|target|cls)[\s_-]+", re.IGNORECASE)
_ABSENT = re.compile(r"(no|non|not|without)[\s_-]|un(infect|affect)|notumou?r")
_POSITIVE = frozenset({"1", "1.0", "true", "yes", "y", "t", "positive", "pos", "present", "abnormal"})
_NEGATIVE = frozenset(
    {"0", "0.0", "false", "no", "n", "f", "negative", "neg", "absent", "none", "normal", "healthy", "nothing", "other"}
)


@dataclass(frozen=True)
class LabelNames:
    """The classes of a task by every name that a sample may have for them."""

    classes: list[str]  # class names; in order, the negative class of a detection task last
    originals: dict[str, str | None] = field(default_factory=dict)  # audit.class_map, {label in the files: class}
    numbered: bool = False  # whether the user gave the order of the classes, so that a number means a place in it

    def match(self, words: Iterable[str], once: bool = False) -> dict[str, str]:
        """Return the class of each word that names one: exactly, as in the files, loosely, or by its number.

        With `once`, as for columns, a class belongs to the word that names it best, or to none if two do equally well.
        """
        words = list(dict.fromkeys(words))
        matched: dict[str, str] = {}
        for names in self._levels(words):
            found = {word: names[word] for word in words if word in names and word not in matched}
            counts = Counter(found.values()) + Counter(matched.values())
            matched |= {word: name for word, name in found.items() if not once or counts[name] == 1}
        return matched

    def writer(self, shown: Iterable[str]) -> Writer:
        """Return a function that writes any class in the style of the labels that the sample shows."""
        matched = self.match(shown)
        for source in self._sources(list(matched)):
            for style in _STYLES:
                if matched and all(_apply(style, source[name]) == word for word, name in matched.items()):
                    return {name: _apply(style, text) for name, text in source.items()}.__getitem__
        known = {name: word for word, name in reversed(matched.items())}
        return lambda name: known.get(name, self.original(name))

    def original(self, name: str) -> str:
        """Return the label of a class in the files; its own name where several labels became one."""
        labels = [label for label, target in self.originals.items() if target == name]
        return labels[0] if len(labels) == 1 else name

    def positive(self, column: str) -> str:
        """Return the one of two classes whose probability a column holds."""
        low, high = self.classes
        words = set(re.split(r"[^0-9a-z]+", column.casefold())) | {fold(column)}
        forms = {name: {fold(name), fold(self.original(name))} for name in self.classes}
        pairs = ((high, low), (low, high))
        for name, other in pairs:
            if forms[name] & words and not forms[other] & words:
                return name
        for name, other in pairs:
            if forms[name] & _POSITIVE or (_is_negative(other) and not _is_negative(name)):
                return name
        return high

    def _levels(self, words: list[str]) -> list[dict[str, str]]:
        """Return {word: class} dictionaries, the best kind of name first."""
        sources = [{name: name for name in self.classes}, self._unique_originals()]
        keys: list[Callable[[str], str | None]] = [str, fold, _without_prefix, _number]
        places = {text: name for name, text in self._places(words).items()}
        return [*(_match_by_key(source, key, words) for key in keys for source in sources), places]

    def _unique_originals(self) -> dict[str, str]:
        """Return {label in the files: class} where no other label became the same class."""
        targets = [target for target in self.originals.values() if target is not None]
        return {label: to for label, to in self.originals.items() if to is not None and targets.count(to) == 1}

    def _places(self, words: Iterable[str]) -> dict[str, str]:
        """Return {class: its number} if the order of classes is known and every word is such a number, else {}."""
        numbers = [float(_number(word) or "nan") for word in words]
        n_classes = len(self.classes)
        if not self.numbered or not numbers or not all(number.is_integer() for number in numbers):
            return {}
        values = {int(number) for number in numbers}
        first = 1 if n_classes in values and 0 not in values else 0
        if not values <= set(range(first, n_classes + first)):
            return {}
        return {name: str(place) for place, name in enumerate(self.classes, first)}

    def _sources(self, words: list[str]) -> list[dict[str, str]]:
        """Return {class: text} for each text that the sample's labels may be derived from."""
        originals = {to: label for label, to in self._unique_originals().items()}
        sources = [{name: name for name in self.classes}, {name: originals.get(name, name) for name in self.classes}]
        places = self._places(words)
        return [*sources, places] if places else sources


def _match_by_key(source: dict[str, str], key: Callable[[str], str | None], words: list[str]) -> dict[str, str]:
    """Return {word: class} for words whose key equals that of the names of one class alone."""
    classes = defaultdict(set)
    for text, name in source.items():
        if key(text):
            classes[key(text)].add(name)
    return {word: next(iter(classes[key(word)])) for word in words if len(classes.get(key(word), ())) == 1}


def _without_prefix(word: str) -> str:
    return fold(_PREFIX.sub("", word, 1))


def _is_negative(name: str) -> bool:
    return fold(name) in _NEGATIVE or _ABSENT.match(name.casefold()) is not None


def _number(word: str) -> str | None:
    """Return the word's value as text, such as 1.0 for "01"; None where it is no plain number."""
    return str(float(word)) if re.fullmatch(r"\d{1,15}(\.\d+)?", word.strip()) else None


_STYLES: list[Writer] = [
    *(str, str.lower, str.upper, str.capitalize, str.title),
    *(lambda text, case=case: case(text.replace("_", " ")) for case in (str, str.capitalize, str.title)),
    *(lambda text, case=case: case(re.sub(r"[\s-]", "_", text)) for case in (str, str.lower)),
    lambda text: str(float(int(text))),
    lambda text: str(int(float(text))),
    *(lambda text, width=width: f"{int(text):0{width}d}" for width in (2, 3, 4, 5)),
]


def _apply(style: Writer, text: str) -> str:
    """Return the text in a style; itself where that is impossible, such as a decimal of a name."""
    try:
        return style(text)
    except ValueError:
        return text
