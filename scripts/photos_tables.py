"""Print the tables of the tournament on photographs: ``python scripts/photos_tables.py EXPORT [--json FILE]``.

``EXPORT`` is the directory of ``harness export`` for a round of ``tournaments/photos.yaml``. Places and their intervals are the
harness's own; so is each area. Counted here, from the verdicts: accuracy by attack and defense, hits of targets, and accuracy by
epsilon, these with 95 % percentile bootstraps over images.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CONFIG = Path(__file__).resolve().parent.parent / "tournaments" / "photos.yaml"
#: The net that no attack has: what it gets right is what transfer leaves.
PRIVATE = "undefended_lite2"
TRACKS = ("attack", "targeted_attack", "defense", "detector")
RESAMPLES = 1000

Found = dict[str, Any]
Row = dict[str, str]


def summary(export: Path, epsilons: list[int]) -> Found:
    """Everything that the tables show."""
    entries, verdicts = read_rows(export / "entries.csv"), read_rows(export / "verdicts.csv")
    epsilon = {row["image"]: epsilons[int(row["batch"]) % len(epsilons)] for row in read_rows(export / "images.csv")}
    targeted = {row["name"] for row in entries if row["type"] == "targeted_attack"}
    aimed = [row for row in verdicts if row["attack"] in targeted]
    private = [row for row in verdicts if row["defense"] == PRIVATE]
    areas: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for row in read_rows(export / "detector_pairs.csv"):
        if row["auroc"]:
            areas[row["attack"]][row["detector"]] = [round(float(row["auroc"]), 3)]
    return {
        "images": len(epsilon),
        "epsilons": epsilons,
        "ranks": {track: ranks(export, track) for track in TRACKS},
        "accuracy": shares(verdicts, lambda row: (row["attack"], row["defense"]), "correct"),
        "hits": shares(aimed, lambda row: (row["attack"], row["defense"]), "target_hit"),
        "by_epsilon": shares(private, lambda row: (row["attack"], str(epsilon[row["image"]])), "correct"),
        "areas": areas,
    }


def ranks(export: Path, track: str) -> Found:
    """Place, the places that the intervals allow, and the score with its interval, by entry."""
    rows = [row for row in read_rows(export / "leaderboard.csv") if row["scoring"] == "standard" and row["track"] == track]
    return {row["name"]: {"ranks": [int(row[name]) for name in ("rank", "rank_low", "rank_high")],
                          "score": [round(float(row[name]), 3) for name in ("score", "score_low", "score_high")]} for row in rows}


def shares(verdicts: list[Row], place: Callable[[Row], tuple[str, str]], column: str) -> dict[str, dict[str, list[float]]]:
    """The share of images where ``column`` is 1, by row and column of the table, with its interval."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in verdicts:
        first, second = place(row)
        found[first][second].append(float(row[column] == "1"))
    return {first: {second: share(values) for second, values in row.items()} for first, row in found.items()}


def share(values: list[float]) -> list[float]:
    """Mean over images and its interval."""
    array = np.array(values)
    drawn = np.random.default_rng(12).multinomial(len(array), np.full(len(array), 1 / len(array)), RESAMPLES) @ array / len(array)
    return [round(float(value), 3) for value in (array.mean(), *np.percentile(drawn, [2.5, 97.5]))]


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def accuracy_table(found: Found) -> str:
    """Accuracy of each defense on the images of each attack."""
    return table("attack", found["accuracy"], list(next(iter(found["accuracy"].values()))))


def hits_table(found: Found) -> str:
    """Share of images that a defense gives the target's label."""
    return table("targeted attack", found["hits"], list(next(iter(found["hits"].values()))))


def epsilon_table(found: Found) -> str:
    """Accuracy of the private net by epsilon."""
    return table("attack", found["by_epsilon"], [str(each) for each in sorted(found["epsilons"])])


def areas_table(found: Found) -> str:
    """Areas under the ROC curve."""
    return table("attack", found["areas"], list(next(iter(found["areas"].values()))))


def ranks_table(found: Found) -> str:
    """Every track, best first."""
    lines = ["| track | entry | score (95 %) | places |", "| --- | --- | ---: | ---: |"]
    for track, rows in found["ranks"].items():
        for name, row in rows.items():
            _, low, high = row["ranks"]
            lines.append(f"| {track} | {name} | {interval(row['score'])} | {low} to {high} |")
    return "\n".join(lines)


def table(corner: str, rows: dict[str, dict[str, list[float]]], columns: list[str]) -> str:
    """Markdown; a dash where nothing was played."""
    lines = [f"| {corner} | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(interval(row[column]) if row.get(column) else '-' for column in columns)} |"
              for name, row in rows.items()]
    return "\n".join(lines)


def interval(values: list[float]) -> str:
    """``.93 (.89 to .96)``, or the value alone where nothing says how certain it is."""
    value, *bounds = (f"{each:.2f}".removeprefix("0") for each in values)
    return f"{value} ({bounds[0]} to {bounds[1]})" if bounds else value


def main() -> None:
    """Print the tables, and keep what they show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not (arguments.export / "verdicts.csv").exists():
        parser.error(f"{arguments.export} is not what `harness export DIR` writes: there is no verdicts.csv.")
    found = summary(arguments.export, yaml.safe_load(CONFIG.read_text())["rules"]["max_epsilon"])
    for show in (accuracy_table, epsilon_table, hits_table, areas_table, ranks_table):
        print(show(found), end="\n\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
