"""Which tracked runs belong to what is being done, kept on disk."""

from contextlib import suppress
from pathlib import Path

from tropho.errors import DataError
from tropho.files import read_json, write_json


class RunIds:
    """Which MLflow runs a training in progress writes to, so that a resumed one goes on in them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: dict[str, str] = {}
        with suppress(DataError):  # missing or damaged: new runs are begun
            self._ids = read_json(path)

    def __getitem__(self, key: str) -> str | None:
        return self._ids.get(key)

    def __setitem__(self, key: str, run_id: str | None) -> None:
        if run_id is not None:  # a server that is away for now takes no known run with it
            self._ids[key] = run_id
            write_json(self._path, self._ids)

    def remove(self) -> None:
        """Forget the runs, as what they record is done."""
        self._path.unlink(missing_ok=True)
