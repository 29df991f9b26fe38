"""Print the tables of "One Man's Trash is Another Man's Treasure" from a run: ``python scripts/transformation_tables.py``.

Reads the round of ``tournaments/transformation.yaml`` (``make transformation`` runs it) through the JSON of the commands. Table 1:
the external nets. Table 2: attacks that do not see the code. Table 3: those that do, and the worst case, image by image over all of
them. Accuracies are shares of images, in %.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "tournaments" / "transformation.yaml"
#: External net -> the defense that uses it.
EXTERNAL = {
    "untrained": "adversarial_transformation_untrained",
    "trained": "adversarial_transformation_trained",
    "adversarially trained": "adversarial_transformation",
}
#: Draws of the transformation for its mean.
DRAWS = 20

Found = dict[str, Any]


def main() -> None:
    """Print all three."""
    board = read("leaderboard")
    runs = board["runs"]
    if runs["done"] < runs["total"]:
        print(f"Only {runs['done']} of {runs['total']} runs are done: the tables are of those.", file=sys.stderr)
    black_box, white_box = read("matrix"), read("matrix", "--access", "white_box")
    query = read("matrix", "--access", "query") if "query" in accesses(board) else None
    print(table_1(board, white_box, distances()), table_2(board, black_box, query), table_3(board, white_box), sep="\n\n")


def read(*command: str) -> Found:
    """Return what a command of the harness says in JSON."""
    program = Path(sys.executable).with_name("harness")
    done = subprocess.run(
        [program, *command, "--config", CONFIG, "--format", "json"], stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # the command has said why
    found: Found = json.loads(done.stdout)
    return found


def accesses(board: Found) -> set[str]:
    """Return what the attacks of a round know."""
    return {row["access"] for track in ("attack", "targeted_attack") for row in board["tracks"][track]}


def accuracy(matrix: Found, attack: str, defense: str) -> float | None:
    """Return the share of an attack's images that a defense labels correctly; of a query attack with targets, that it keeps."""
    row, column = matrix["attacks"].index(attack), matrix["defenses"].index(defense)
    produced, correct = matrix["produced"][row], matrix["correct"][row][column]
    images = produced[column] if isinstance(produced, list) else produced
    return correct / images if images and correct is not None else None


def table_1(board: Found, white_box: Found, moved: dict[str, float]) -> str:
    """Clean and BPDA-I accuracy of each external net, and how far the mean of the transformation is from the image."""
    clean = clean_accuracy(board)
    rows = [[net, percent(clean[name]), percent(accuracy(white_box, "bpda_identity", name)), f"{moved[name]:.3f}"]
            for net, name in EXTERNAL.items()]
    return markdown(["Table 1: external net", "clean", "BPDA-I", "mean distance of E t(x) from x"], rows)


def table_2(board: Found, black_box: Found, query: Found | None) -> str:
    """Each defense against attacks made on other nets, and against those that ask it."""
    clean = clean_accuracy(board)
    columns = [(found, attack) for found in (black_box, query) if found for attack in found["attacks"]]
    rows = [[name, percent(clean[name]), *(percent(accuracy(found, attack, name)) for found, attack in columns)]
            for name in black_box["defenses"]]
    return markdown(["Table 2: defense", "clean", *(attack for _, attack in columns)], rows)


def table_3(board: Found, white_box: Found) -> str:
    """Each defense against each attack that knows its code, and the worst case."""
    rows = []
    by_name = {row["name"]: row for row in board["tracks"]["defense"]}
    for name in white_box["defenses"]:
        shares = {attack: accuracy(white_box, attack, name) for attack in white_box["attacks"]}
        known = {attack: share for attack, share in shares.items() if share is not None}
        robust, low, high = (percent(by_name[name][figure].get("white_box")) for figure in ("robust", "robust_low", "robust_high"))
        best = min(known, key=known.__getitem__, default="-")
        clean = percent(by_name[name]["clean_accuracy"])
        rows.append([name, clean, *map(percent, shares.values()), f"{robust} ({low} to {high})", best])
    return markdown(["Table 3: defense", "clean", *white_box["attacks"], "worst case (95 %)", "best attack"], rows)


def clean_accuracy(board: Found) -> dict[str, float | None]:
    """Return each defense's share of clean images."""
    return {row["name"]: row["clean_accuracy"] for row in board["tracks"]["defense"]}


def distances() -> dict[str, float]:
    """Return the mean absolute difference between images and the mean of their transformations, pixels in [0, 1]."""
    import torch  # noqa: PLC0415 - seconds to import, and only this needs it

    from field_kit.model import to_tensor  # noqa: PLC0415
    from harness.dataset.digits import digits_split  # noqa: PLC0415
    from harness.sdk import target  # noqa: PLC0415

    pixels = to_tensor(digits_split()[1].images[:40])
    found = {}
    for name in EXTERNAL.values():
        opened = target(ROOT / "submissions" / "transformation" / "defenses" / name)
        with torch.no_grad():
            mean = torch.stack([opened.transform(pixels) for _ in range(DRAWS)]).mean(0)
        found[name] = float((mean - pixels).abs().mean())
    return found


def percent(share: float | None) -> str:
    """Write a share in %."""
    return "-" if share is None else f"{100 * share:.1f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Write a table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *rows])


if __name__ == "__main__":
    main()
