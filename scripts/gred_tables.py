"""Print the tables of GRED's paper for a round: ``python scripts/gred_tables.py EXPORT [--json FILE]``.

``EXPORT`` is the directory of ``harness export``. Tables 2 and 3: of each attack, the share of images that it makes f get wrong (or
answer with the target), and each detector's prediction accuracy, the share of clean and attacked images on the right side of zero,
half of each. Table 7: of each attack, accuracy of f and of the defenses. Table 4: of each duel, success against the defenses.
Intervals: 95 % percentile bootstrap over images.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DETECTORS = ("image_cnn", "saliency", "input_sensitivity", "gred")
CLASSIFIER, DEFENSES = "undefended_a", ("gred_rectify", "gred_reject")
RESAMPLES = 1000

Floats = NDArray[np.float64]
#: By row and column: the share and its interval.
Table = dict[str, dict[str, list[float]]]


def share(values: dict[str, float]) -> list[float]:
    """Mean over images and its interval; ``values`` by image, so that both sides of an image move together."""
    array = np.array(list(values.values()))
    if not len(array):
        return []
    drawn = np.random.default_rng(51).multinomial(len(array), np.full(len(array), 1 / len(array)), RESAMPLES) @ array / len(array)
    return [round(float(value), 3) for value in (array.mean(), *np.percentile(drawn, [2.5, 97.5]))]


def detection(export: Path) -> Table:
    """Prediction accuracy by attack and detector: 1/2 for each side of an image that is right; no score is wrong."""
    right: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in _rows(export / "detections.csv"):
        flagged = float(row["score"]) > 0 if row["score"] else row["side"] == "clean"
        right[row["attack"], row["detector"]][row["image"]] += (flagged == (row["side"] == "attacked")) / 2
    attacks = sorted({attack for attack, _ in right})
    return {attack: {name: share(right[attack, name]) for name in DETECTORS} for attack in attacks}


def answers(export: Path) -> tuple[Table, Table]:
    """Success of each attack, and accuracy, by opponent. A rejected image is no success; accuracy counts it as answered right."""
    targeted = {row["name"] for row in _rows(export / "entries.csv") if row["type"] == "targeted_attack"}
    success: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    correct: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    duels = [row for row in _rows(export / "duels.csv") if row["produced"] == "1"]
    for row in _rows(export / "verdicts.csv") + duels:
        right, rejected = row["correct"] == "1", row["rejected"] == "1"
        hit = row["target_hit"] == "1" if row["attack"] in targeted else not (right or rejected)
        success[row["attack"]][row["defense"]][row["image"]] = hit
        correct[row["attack"]][row["defense"]][row["image"]] = right or rejected
    return _shares(success), _shares(correct)


def _shares(found: dict[str, dict[str, dict[str, float]]]) -> Table:
    return {attack: {name: share(values) for name, values in sorted(row.items())} for attack, row in sorted(found.items())}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def show(title: str, table: Table, columns: tuple[str, ...]) -> None:
    """Print a table in Markdown; a dash where a pair was not played."""
    print(f"\n{title}\n\n| attack |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for attack, row in table.items():
        cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*row[name]) if row.get(name) else "-" for name in columns]
        print(f"| {attack} |", " | ".join(cells), "|")


def main() -> None:
    """Print the tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (arguments.export / "verdicts.csv").exists():
        parser.error(f"{arguments.export} is not what `harness export DIR` writes: there is no verdicts.csv.")
    success, correct = answers(arguments.export)
    detected = detection(arguments.export)
    opponents = (CLASSIFIER, *DEFENSES)
    show("Success of attacks", success, opponents)
    show("Prediction accuracy of detectors", detected, DETECTORS)
    show("Accuracy on attacked images", correct, opponents)
    if arguments.json:
        tables = {"success": success, "detection": detected, "accuracy": correct}
        arguments.json.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
