"""Kill `dvc repro` of both demos at random moments, start it again, and compare what it ends with.

    python benchmarks/soak.py run FOLDER      50 kills at reduced size, then 3 at full size; goes on where it stopped
    python benchmarks/soak.py page FOLDER     write the section "Soak" of docs/reliability.md

A pass is a new clone in which `dvc repro` is killed and started again until it comes to its end; then all that it made
is compared with an undisturbed run of the same commit. FOLDER/state.json holds what has been done.
"""

import argparse
import contextlib
import datetime
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import soak_compare
from reliability_page import table, write_section

ROOT = Path(__file__).resolve().parent.parent
COMBINATIONS = [(target, name) for target in ("stage", "all", "dvc") for name in ("KILL", "TERM", "INT")]
TARGETS = {"stage": "the stage", "all": "all processes", "dvc": "DVC alone"}
FULL = [("stage", "TERM"), ("all", "INT"), ("dvc", "KILL")]
"""The kills at full size; DVC ignores INT while a stage runs."""
ENDING = 10.0
"""Seconds after which a `dvc repro` that a signal has not ended is said to go on."""
FAILURES = 3
"""Times that `dvc repro` may end in an error of its own before a pass is given up."""


class State:
    """What has been done, kept in a file."""

    def __init__(self, folder: Path, commit: str) -> None:
        self.path = folder / "state.json"
        self.values: dict[str, Any] = {"commit": commit, "seconds": {}, "kills": [], "passes": [], "worked": 0.0}
        if self.path.exists():
            self.values = json.loads(self.path.read_text(encoding="utf-8"))
        if self.values["commit"] != commit:
            sys.exit(f"{self.path} is of commit {self.values['commit'][:7]}; give another folder, or delete that one.")

    def save(self) -> None:
        """Write the file."""
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.values, indent=1), encoding="utf-8")
        temporary.replace(self.path)

    def kills(self, size: str) -> list[dict[str, Any]]:
        """List the kills at a size, `reduced` or `full`."""
        return [kill for kill in self.values["kills"] if kill["size"] == size]

    def passes(self, size: str) -> list[dict[str, Any]]:
        """List the passes at a size that have come to their end."""
        return [each for each in self.values["passes"] if each["size"] == size]

    def is_done(self, size: str, kills: int) -> bool:
        """Tell whether there have been that many kills, and the pass of the last has come to its end."""
        done = self.kills(size)
        return len(done) >= kills and done[-1]["pass"] <= len(self.passes(size))


class Project:
    """A clone of the committed state in which `dvc repro` runs."""

    def __init__(self, path: Path, size: str) -> None:
        self.path = path
        self.log = path.with_suffix(".log")
        self.temporary = path.with_suffix(".tmp")
        if not (path / ".git" / "ready").exists():
            for each in (path, self.temporary):
                shutil.rmtree(each, ignore_errors=True)
            self._make(size)

    def _make(self, size: str) -> None:
        git = ("git", "-C", str(self.path))
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.path)], check=True)
        if size == "reduced":
            reduce = ROOT / "tests" / "pipeline" / "reduce.py"
            subprocess.run([sys.executable, str(reduce), str(self.path / "params.yaml")], check=True)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", size], check=True, env=self.environment)
        (self.path / ".git" / "ready").touch()

    @property
    def environment(self) -> dict[str, str]:
        """This interpreter's commands, the clone's code, one fixed author, a folder of its own for temporary files."""
        self.temporary.mkdir(exist_ok=True)
        foreign = ("GIT_", "HF_", "MLFLOW_", "TROPHO_", "DVC_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        person = {f"GIT_{role}_{what}": "soak" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        dates = {f"GIT_{role}_DATE": "2026-01-01T00:00:00Z" for role in ("AUTHOR", "COMMITTER")}
        own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        own |= {"PYTHONPATH": str(self.path / "src"), "TMPDIR": str(self.temporary)}
        return {**kept, **person, **dates, **own}

    @contextlib.contextmanager
    def repro(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Start `dvc repro` in a process group of its own, which ends with the block."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["dvc", "repro"], cwd=self.path, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def stages(self) -> dict[int, str]:
        """The processes of stages that DVC has started, by id: the stage."""
        lines = {pid: line.split() for pid, line in soak_compare.processes(self.path).items()}
        words = {
            pid: line[line.index("tropho") :] if "tropho" in line else [] for pid, line in self._plain(lines).items()
        }
        return {pid: line[1] for pid, line in words.items() if len(line) > 2}

    @staticmethod
    def _plain(lines: dict[int, list[str]]) -> dict[int, list[str]]:
        return {pid: [Path(word).name for word in line] for pid, line in lines.items()}


def strike(project: Project, process: "subprocess.Popen[bytes]", target: str, name: str) -> dict[str, Any]:
    """Send a signal; returns which stage ran and what came of it, or nothing where `dvc repro` has ended before."""
    stages = project.stages()
    while target == "stage" and not stages and process.poll() is None:
        time.sleep(0.02)
        stages = project.stages()
    if process.poll() is not None:
        return {}
    sent = getattr(signal, f"SIG{name}")
    with contextlib.suppress(ProcessLookupError):  # the stage has just ended
        if target == "all":
            os.killpg(process.pid, sent)
        else:
            os.kill(process.pid if target == "dvc" else min(stages), sent)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDING)
    outcome = "went on" if process.poll() is None else f"ended with {process.returncode}"
    return {"stage": next(iter(stages.values()), "none"), "target": target, "signal": name, "outcome": outcome}


def delays(seed: int, number: int, seconds: float) -> float:
    """Seconds after its start at which `dvc repro` is killed for the time `number`."""
    return random.Random(f"{seed}-{number}").uniform(0, seconds / 2)  # noqa: S311 - nothing secret


def plan(seed: int, kills: int) -> list[tuple[str, str]]:
    """Targets and signals, each combination as often as the others, in a drawn order."""
    repeated = (COMBINATIONS * (kills // len(COMBINATIONS) + 1))[:kills]
    random.Random(seed).shuffle(repeated)  # noqa: S311 - nothing secret
    return repeated


def run_pass(project: Project, number: int, size: str, state: State, planned: list[tuple[str, str]], seed: int) -> None:
    """Kill and restart until `dvc repro` comes to its end, then compare; what the last call began is gone on with."""
    for pid in soak_compare.processes(project.path):
        os.kill(pid, signal.SIGKILL)
    failures: list[str] = []
    struck: dict[str, Any] = {}
    while len(failures) < FAILURES:
        with project.repro() as process:
            begun = time.monotonic()
            while process.poll() is None:
                done = len(state.kills(size))
                after = delays(seed, done, state.values["seconds"][size]) if done < len(planned) else None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(after)
                if process.poll() is None and (struck := strike(project, process, *planned[done])):
                    kill = {"size": size, "pass": number, "after": round(time.monotonic() - begun, 1), **struck}
                    state.values["kills"].append(kill)
                    state.save()
                    print(kill, flush=True)
        if process.returncode == 0:
            break
        if struck:
            struck = {}
        elif unlock(project):
            state.values["unlocked"] = state.values.get("unlocked", 0) + 1
        else:
            failures.append(f"dvc repro failed: {project.log.read_text(errors='replace').splitlines()[-1:]}")
    time.sleep(2)  # for workers to notice that their parent has ended
    reference = project.path.with_name(f"{size}_reference")
    found = (
        failures
        + soak_compare.differences(reference, project.path)
        + left_in(project.temporary, reference.with_suffix(".tmp"))
    )
    state.values["passes"].append({"size": size, "pass": number, "differences": found})
    state.save()
    print(f"{size} pass {number}: {len(found)} differences", *found, sep="\n  ", flush=True)
    if not found:
        shutil.rmtree(project.path)
        shutil.rmtree(project.temporary)


def unlock(project: Project) -> bool:
    """Delete DVC's lock file if a kill left it empty or cut, as `tropho doctor` advises; return whether that was so."""
    path = project.path / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return False
    except ValueError:
        path.unlink()
        return True
    return False


def left_in(folder: Path, undisturbed: Path) -> list[str]:
    """What processes left in the folder for temporary files and an undisturbed run does not leave, as torch does."""
    return [f"left over: temporary {path.name}" for path in folder.iterdir() if not (undisturbed / path.name).exists()]


def reference(folder: Path, size: str, state: State) -> None:
    """Run undisturbed, once, and note how long it takes."""
    project = Project(folder / f"{size}_reference", size)
    if size in state.values["seconds"]:
        return
    begun = time.monotonic()
    with project.repro() as process:
        if process.wait():
            sys.exit(f"The undisturbed run failed; see {project.log}.")
    state.values["seconds"][size] = time.monotonic() - begun
    state.save()


def run(folder: Path, seed: int, kills: int, minutes: float) -> None:
    """Do what is left of the passes at reduced size, within `minutes` over all calls, and of the one at full size."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started this in the background
    folder.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    state = State(folder, commit.stdout.strip())
    for size, planned in {"reduced": plan(seed, kills), "full": FULL}.items():
        reference(folder, size, state)
        while not state.is_done(size, len(planned)):
            if size == "reduced" and state.values["worked"] > minutes * 60:
                sys.exit(f"{minutes:g} minutes are over, after {len(state.kills(size))} of {len(planned)} kills.")
            begun, number = time.monotonic(), len(state.passes(size)) + 1
            run_pass(Project(folder / f"{size}_{number}", size), number, size, state, planned, seed)
            state.values["worked"] += time.monotonic() - begun
            state.save()


def write_page(folder: Path) -> None:
    """Write the section "Soak" of docs/reliability.md."""
    values = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    kills, passes = values["kills"], values["passes"]
    date = datetime.datetime.now(datetime.UTC).date()
    sizes = {size: [each for each in passes if each["size"] == size] for size in ("reduced", "full")}
    counts = {size: sum(kill["size"] == size for kill in kills) for size in sizes}
    told = f"{date}, commit {values['commit'][:7]}, on {os.cpu_count()} cores: "
    told += " and ".join(
        f"{counts[size]} kills in {len(sizes[size])} passes at {size} size" for size in sizes if sizes[size]
    )
    found = [each for one in passes for each in one["differences"]]
    lines = [f"{told}. Differences found: {len(found) or 'none'}.", *(f"- {each}" for each in found)]
    stages = [*dict.fromkeys(kill["stage"] for kill in kills)]
    cells = Counter((kill["stage"], kill["target"], kill["signal"]) for kill in kills)
    heads = ["stage that ran", *(f"{TARGETS[target]}, {name}" for target, name in COMBINATIONS)]
    rows = [[stage, *(str(cells[stage, *each] or "") for each in COMBINATIONS)] for stage in stages]
    rows.append(["all", *(str(sum(cells[stage, *each] for stage in stages)) for each in COMBINATIONS)])
    went_on = sum(kill["outcome"] == "went on" for kill in kills)
    unlocked = values.get("unlocked", 0)
    last = f"Kills that left DVC's own lock file empty, so that it was deleted as `tropho doctor` says: {unlocked}. "
    last += f"{went_on} of the signals ended nothing: DVC ignores SIGINT while a stage runs."
    write_section("soak", "\n".join([*lines, "", table(heads, rows), "", last]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "page"])
    parser.add_argument("folder", type=Path, help="for the clones and state.json; outside the repository")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=50, help="at reduced size")
    parser.add_argument("--minutes", type=float, default=90.0, help="for the passes at reduced size")
    given = parser.parse_args()
    folder = given.folder.resolve()
    if given.command == "page":
        write_page(folder)
    else:
        run(folder, given.seed, given.kills, given.minutes)


if __name__ == "__main__":
    main()
