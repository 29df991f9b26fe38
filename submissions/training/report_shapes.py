"""The table of results for the rendered shapes: every defense as the entry itself answers, clean and transferred."""

from collections.abc import Callable

import numpy as np
import report
from recipes import SHAPES
from shapes import tournament_images

EPSILONS = (4, 8, 16)
#: Attacked images are counted on the first 100 of the tournament's 1,000.
ATTACKED = 100

_HEAD = f"""# What the committed weights for the rendered shapes do

Written by `submissions/training/train.py --only shapes-report`, never by hand. Accuracy of each entry's own answers on all 1,000
images of the data set (clean) and on the first {ATTACKED} of them under `attacks/mi_fgsm`, which is made on the net of
`undefended_b`. The number is epsilon.

| entry | KB | clean | {" | ".join(f"mi_fgsm {epsilon}" for epsilon in EPSILONS)} |
|---|---|---|{"---|" * len(EPSILONS)}
"""


def write_report(tick: Callable[[], None]) -> None:
    """Measure every defense and write ``RESULTS.md``."""
    images, labels = tournament_images()
    attack = report.read_entry(SHAPES / "attacks" / "mi_fgsm", "attack.py").attack
    attacked = [attack(images[:ATTACKED].copy(), epsilon) for epsilon in EPSILONS]
    rows = []
    for folder in sorted(path.parent for path in (SHAPES / "defenses").glob("*/metadata.json")):
        classify = report.read_entry(folder).classify
        figures = [np.mean(classify(images) == labels)]
        figures += [np.mean(classify(moved) == labels[:ATTACKED]) for moved in attacked]
        cells = " | ".join(f"{figure:.3f}" for figure in figures)
        rows.append(f"| {report.title(folder)} | {report.kilobytes(folder)} | {cells} |\n")
        tick()
    (SHAPES / "RESULTS.md").write_text(_HEAD + "".join(rows) + "\n`*` marks the baselines.\n")
