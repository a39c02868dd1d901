"""Expected errors: one sentence that says what is wrong, where, and what to do."""


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
