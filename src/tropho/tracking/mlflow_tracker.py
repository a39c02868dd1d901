"""Records sent to MLflow, by its client alone: no global run, no global address."""

from pathlib import Path
from time import monotonic

from tropho.errors import ExternalError
from tropho.log import info
from tropho.tracking.pending_records import PendingRecords, Record
from tropho.tracking.provenance import provenance
from tropho.tracking.recorder import Recorder, is_outage
from tropho.tracking.store import artifact_location, connect, pending_folder, tracking_uri
from tropho.tracking.tracker import Tracker, milliseconds

PAUSE = 120.0  # seconds without calls after a failure, since a call of a dead server may take 20


class MlflowTracker(Tracker):
    """Tracker in the store of the repository at `root`, or at MLFLOW_TRACKING_URI.

    Records go to MLflow at once. While it can't be reached they go to a file in `pending_folder(root)`, and from there
    to MLflow as soon as this process, or a later one, reaches it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uri = tracking_uri(root)
        self._artifacts = artifact_location(root, self._uri)
        self._away_until = 0.0
        self._warned: set[str] = set()
        self._recorder: Recorder | None = None
        self._pending = PendingRecords(pending_folder(root))
        self._queue: list[Record] = []
        self._opened: dict[str, Record] = {}
        self._n_open = 0

    def record(self, record: Record) -> None:
        if record["do"] == "open":
            record = self._opened[record["run"]] = {**record, "tags": provenance(self._root)}
        self._queue.append(record)
        self.record_pending()
        try:
            while self._queue:
                self._keep(self._queue[0])
                del self._queue[0]
        except OSError as error:  # the next record tries again
            self._warn("and the disk take no records", error, "the work goes on")
        self._n_open += {"open": 1, "end": -1}.get(record["do"], 0)
        if self._n_open == 0:
            self._pending.close()

    def record_pending(self) -> None:
        if monotonic() < self._away_until:
            return
        try:
            self._send()
        except Exception as error:  # no failure of a record may stop the work
            self._away_until = monotonic() + PAUSE
            cause = error.__cause__ if isinstance(error, ExternalError) else None
            self._warn("can't be reached", cause or error, "what it misses is recorded by the next run that reaches it")

    def id_of(self, key: str) -> str:
        return self._recorder.id_of(key) if self._recorder else key

    def _send(self) -> None:
        """Send the records of earlier processes, the pending ones and the queue; raises where MLflow is away."""
        if self._recorder is None:
            client = connect(self._uri)
            for pending in PendingRecords.left_by_others(pending_folder(self._root)):
                self._replay(pending, Recorder(client, self._artifacts, is_replay=True))
            self._recorder = Recorder(client, self._artifacts)
        for record in self._pending.read():
            if record["do"] == "open":
                self._opened[record["run"]] = record
            self._apply(self._recorder, record)
        self._pending.remove()
        while self._queue:
            self._apply(self._recorder, self._queue[0])
            del self._queue[0]

    def _replay(self, pending: PendingRecords, recorder: Recorder) -> None:
        records = pending.read()
        for record in records:
            self._apply(recorder, record)
        recorder.end_killed(max((record["time"] for record in records if "time" in record), default=milliseconds()))
        pending.remove()
        names = sorted({record["name"] for record in records if record["do"] == "open"})
        info(f"Recorded with MLflow what it had missed of: {', '.join(names)}.")

    def _apply(self, recorder: Recorder, record: Record) -> None:
        """Send a record; skip one that MLflow will never accept."""
        try:
            recorder.apply(record)
        except Exception as error:  # no failure of a record may stop the work
            if is_outage(error):
                raise
            self._warn("does not record this run in full", error, "the work goes on")

    def _keep(self, record: Record) -> None:
        """Append a record to the file, after the one that opens its run."""
        if record["run"] not in self._pending.runs and record["do"] != "open":
            self._pending.append(self._opened[record["run"]])
        self._pending.append(record)

    def _warn(self, what: str, error: BaseException, consequence: str) -> None:
        """Print a warning, the first time that `what` happens."""
        if what not in self._warned:
            self._warned.add(what)
            line = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
            info(f"Warning: MLflow {what} ({line[:200]}); {consequence}.")
