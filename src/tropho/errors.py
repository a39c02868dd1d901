"""Expected errors: one sentence that says what is wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class TrophoError(Exception):
    """An expected failure, shown without a traceback; `exit_code` is the command's exit status."""

    exit_code = 1


class DataError(TrophoError):
    """The data or the submission is wrong."""


class UsageError(TrophoError):
    """The command or the settings are wrong."""

    exit_code = 2


class ExternalError(TrophoError):
    """Something outside failed: network, disk, credentials, a server."""

    exit_code = 3


class StoppedError(TrophoError):
    """The user stopped the command with Ctrl-C."""

    exit_code = 130


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a clause that suggests the known name most like `name`, or lists some of the known names."""
    words = sorted(map(str, known))
    by_lower = {word.lower(): word for word in words}
    longer = sorted((word for word in by_lower if word.startswith(name.lower()) and len(name) > 2), key=len)
    close = longer or difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    if close:
        return f" (did you mean '{by_lower[close[0]]}'?)"
    return f"; known are {', '.join(words[:10])}{', ...' if len(words) > 10 else ''}" if words else ""


def describe_os_error(error: OSError) -> str:
    """Return a sentence that says what the system refused, with which file, and what to check."""
    names = [str(name) for name in (error.filename, error.filename2) if name]
    where = f" ({' to '.join(names)})" if names else ""
    return f"{error.strerror or error}{where}; check that the file exists, may be used, and that the disk has room."
