"""What the test for classes that annotators left out claims too much, and what it finds, against two others.

    python benchmarks/left_out.py

False alarms: 20,000 tables a world in which nothing was left out, alarms at the level 0.001 as a multiple of it (1 is
what a test promises). Found: white cells left out of the embedded photos, twelve sets of images. Three minutes.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln
from scipy.stats import hypergeom

from tropho.config.load import load_params, task_settings, with_overrides
from tropho.data.audit import missing_labels
from tropho.data.audit.run_audit import audit
from tropho.data.sources.generator import fetch

LEVEL, TABLES = 1e-3, 20_000
SEEDS = (7, 12, 21, 22, 23, 31)
SETS = {"demo, 200 photos": (200, 0.2), "ablation, 280 photos": (280, 1.0)}
Counts = np.ndarray
Draw = Callable[[np.random.Generator, int], Counts]


def fisher(here: Counts, shown: Counts, others: Counts, others_shown: Counts) -> tuple[float, float]:
    """Fisher's exact test of the groups that show the class at all, whatever their size: (p, least p)."""
    total, rich = len(here) + len(others), int((shown > 0).sum() + (others_shown > 0).sum())
    law = hypergeom(total, rich, len(here))
    return float(law.cdf((shown > 0).sum())), float(law.cdf(law.support()[0]))


def beta_binomial(here: Counts, shown: Counts, others: Counts, others_shown: Counts) -> tuple[float, float]:
    """P(no label in groups of these sizes) by a beta-binomial law fitted elsewhere, whatever was labelled: (p, p)."""

    def loss(logs: np.ndarray) -> float:
        a, b = np.exp(logs)
        return -float((betaln(others_shown + a, others - others_shown + b) - betaln(a, b)).sum())

    fitted = minimize(loss, [0.5, 0.0], method="Nelder-Mead", options={"maxiter": 120}).x
    a, b = np.exp(np.clip(fitted, -6, 6))
    p = float(np.exp((betaln(a, here + b) - betaln(a, b)).sum()))
    return p, p


def of(size: int) -> Draw:
    return lambda rng, count: np.full(count, size)


def mixed(rng: np.random.Generator, count: int) -> Counts:
    return np.where(rng.random(count) < 0.35, 1, rng.integers(1, 11, count))


def some_without(share: float) -> Draw:
    return lambda rng, count: np.where(rng.random(count) < share, 0.0, 0.8)


# (groups of the value, their images, groups elsewhere, their images, share of a slide's images with the class)
WORLDS: dict[str, tuple[int, Draw, int, Draw, Draw]] = {
    "images alone, slides of ten elsewhere": (10, of(1), 20, of(10), lambda rng, count: np.full(count, 0.2)),
    "one slide; 1 in 41 has no white cell": (1, of(8), 40, mixed, some_without(1 / 41)),
    "two slides; 1 in 7 has none": (2, of(8), 20, mixed, some_without(1 / 7)),
    "four slides, U-shaped shares": (4, of(8), 35, mixed, lambda rng, count: rng.beta(0.4, 0.4, count)),
    "twelve slides, mostly low shares": (12, mixed, 25, mixed, lambda rng, count: rng.beta(0.3, 2, count)),
}
TESTS = {"Fisher on groups": fisher, "beta-binomial": beta_binomial, "Tropho": missing_labels.group_size_exact_test}


def false_alarms(world: tuple[int, Draw, int, Draw, Draw]) -> list[float]:
    """By test: alarms among tables, over the level; as the audit does, only where hardly any image is labelled."""
    rng = np.random.default_rng(7)
    count, sizes_here, count_elsewhere, sizes_elsewhere, shares = world
    alarms = np.zeros(len(TESTS))
    for _ in range(TABLES):
        here, others = sizes_here(rng, count), sizes_elsewhere(rng, count_elsewhere)
        rate = shares(rng, count + count_elsewhere)
        shown, others_shown = rng.binomial(here, rate[:count]), rng.binomial(others, rate[count:])
        if shown.sum() / here.sum() <= missing_labels.MAX_RELATIVE_SHARE * others_shown.sum() / others.sum():
            alarms += [test(here, shown, others, others_shown)[0] <= LEVEL for test in TESTS.values()]
    return list(alarms / TABLES / LEVEL)


def found(count: int, difficulty: float) -> dict[tuple[str, float], int]:
    """By test, but for the beta-binomial, and level: sets in which the white cells are found, and nothing else."""
    hits = {(name, level): 0 for level in (LEVEL, 10 * LEVEL) for name in ("Fisher on groups", "Tropho")}
    params = load_params()
    for seed in SEEDS:
        changes = {"seed": seed, "images": count, "difficulty": difficulty}
        task = with_overrides(
            task_settings("smear_demo", params), {f"download.{name}": value for name, value in changes.items()}
        )
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "raw"
            raw.mkdir()
            fetch(task, raw, Path(folder))
            result = audit(task, raw, Path(folder))
        for name, level in hits:
            with patch.object(missing_labels, "group_size_exact_test", TESTS[name]):
                findings = missing_labels.find_missing_labels(
                    result.images, result.boxes, ["Trophozoite", "WBC"], level
                )
            hits[name, level] += [(each["class"], each["value"]) for each in findings] == [("WBC", "832x624")]
    return hits


def main() -> None:
    print(f"| false alarms / {LEVEL:g} | {' | '.join(TESTS)} |\n|---" + "|---" * len(TESTS) + "|")
    for name, world in WORLDS.items():
        print(f"| {name} | {' | '.join(f'{each:.1f}' for each in false_alarms(world))} |", flush=True)
    print(f"\n| found, of {len(SEEDS)} sets | test | level | found |\n|---|---|---|---|")
    for name, (count, difficulty) in SETS.items():
        for (test, level), hits in found(count, difficulty).items():
            print(f"| {name} | {test} | {level:g} | {hits} |", flush=True)


if __name__ == "__main__":
    main()
