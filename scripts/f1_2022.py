"""Print F1 of each detector as the write-up of the 2022 contest counted it: ``python scripts/f1_2022.py EXPORT [--json FILE]``.

``EXPORT`` is the directory of ``harness export``, whose ``detections.csv`` is read. A detector is run on as many clean images as
attacked ones, and F1 depends on that share; so shares of flagged images are weighed by the write-up's own counts: 250 patch, 250
Square, 500 UAP or FGSM and 1,000 of least L2 norm among 18,000 clean images. The threshold is the one with the highest F1, as the
contest's organisers chose it. Intervals: 95 % percentile bootstrap over images.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Attacks of each family of the write-up, and its images.
FAMILIES = {
    "patch": (("lavan",), 250),
    "square": (("square",), 250),
    "uap or fgsm": (("universal_perturbation", "fgsm"), 500),
    "least norm": (("ddn", "carlini_wagner", "deepfool"), 1000),
}
CLEAN = 18_000
RESAMPLES = 200

Floats = NDArray[np.float64]
#: By attack and side: by image, its score.
Scores = dict[tuple[str, str], dict[str, float]]


def read(path: Path) -> dict[str, Scores]:
    """By detector; an image without a score is flagged when clean and not when attacked, as the harness counts it."""
    found: dict[str, Scores] = defaultdict(lambda: defaultdict(dict))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            none = np.inf if row["side"] == "clean" else -np.inf
            score = float(row["score"]) if row["score"] else none
            found[row["detector"]][row["attack"], row["side"]][row["image"]] = score
    return found


def pooled(scores: Scores, attacks: tuple[str, ...], side: str, total: float) -> tuple[list[str], Floats, Floats]:
    """Images, scores and weights of some attacks' images, which weigh ``total`` together."""
    here = [(image, score) for attack in attacks for image, score in scores[attack, side].items()]
    return [image for image, _ in here], np.array([score for _, score in here]), np.full(len(here), total / max(len(here), 1))


def best_f1(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> float:
    """The highest F1 over all thresholds; images of one score are flagged together."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(scores[order][1:] != scores[order][:-1], True)
    hits = np.cumsum((weights * positive)[order])[last]
    flagged = np.cumsum(weights[order])[last]
    return float(np.max(2 * hits / (flagged + weights[positive].sum())))


def f1(scores: Scores, families: dict[str, tuple[tuple[str, ...], int]], random: np.random.Generator) -> tuple[float, float, float]:
    """F1 over the families together, and its interval."""
    parts = [(pooled(scores, attacks, "attacked", count), True) for attacks, count in families.values()]
    every = tuple(attack for attacks, _ in families.values() for attack in attacks)
    parts.append((pooled(scores, every, "clean", CLEAN), False))
    images = np.concatenate([np.array(names, dtype=str) for (names, _, _), _ in parts])
    values = np.concatenate([part for (_, part, _), _ in parts])
    weights = np.concatenate([part for (_, _, part), _ in parts])
    positive = np.concatenate([np.full(len(names), is_attacked) for (names, _, _), is_attacked in parts])
    distinct, place = np.unique(images, return_inverse=True)
    drawn = random.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), RESAMPLES)
    resampled = [best_f1(values, positive, weights * times[place]) for times in drawn]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return best_f1(values, positive, weights), float(low), float(high)


def main() -> None:
    """Print one row per detector: F1 on each family, and on all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (arguments.export / "detections.csv").exists():
        parser.error(f"{arguments.export} is not what `harness export DIR` writes: there is no detections.csv.")
    columns = {**{name: {name: family} for name, family in FAMILIES.items()}, "all": FAMILIES}
    table = {
        detector: {name: [round(value, 4) for value in f1(scores, families, np.random.default_rng(2022))]
                   for name, families in columns.items()}
        for detector, scores in sorted(read(arguments.export / "detections.csv").items())}
    print("| detector |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for detector, row in table.items():
        print(f"| {detector} |", " | ".join(f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in row.values()), "|")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
