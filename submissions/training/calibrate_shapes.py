"""Write what clean images measure, for entries that compare: ``python submissions/training/calibrate_shapes.py`` (a minute).

Over images that nets were not trained on and no tournament has: what a net has seen it puts together too well.
"""

import json
from pathlib import Path

import numpy as np
from recipes import SHAPES
from report import read_entry

from field_kit.traces import column_stripes, largest_error, noise
from harness.dataset.shapes import shapes

IMAGES, VALUES = 1000, 201


def main() -> None:
    """Write ``clean.json`` of both entries: by measure, its values at equal steps of rank."""
    images = shapes("calibration", IMAGES).images
    _write(SHAPES / "detectors" / "magnet", {})  # an entry reads its numbers when it is imported
    magnet = read_entry(SHAPES / "detectors" / "magnet", "detector.py")
    traces = {
        "patch": largest_error(magnet.AUTOENCODER, images),
        "stripes": column_stripes(images),
        "noise": noise(images),
    }
    _write(SHAPES / "detectors" / "contest2022", traces)
    _write(SHAPES / "detectors" / "magnet", magnet.measures(images))


def _write(folder: Path, measured: dict[str, np.ndarray]) -> None:
    ranks = np.linspace(0, 1, VALUES)
    rows = {name: [float(f"{value:.5g}") for value in np.quantile(values, ranks)] for name, values in measured.items()}
    (folder / "clean.json").write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
