"""The default data set, made offline from scikit-learn's bundled handwritten digits.

Shuffle and target classes come from SHA-256, not from a random generator, so that they stay the same whatever numpy's
generators become. The split is shared with the training of the sample entries: what they train on is never in the
tournament.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.dataset.built import check_replaceable, write_built
from harness.dataset.digest import Record
from harness.errors import DatasetError

#: Images to train the sample entries on; the rest of the 1,797 is held out.
TRAINING_IMAGES = 1297
#: Held-out images of the tournament: four batches of 100. The other 100 are for authors to look at.
TOURNAMENT_IMAGES = 400
_SIZE = (32, 32)
_LABELS = (0, 9)


class Digits(NamedTuple):
    """Images uint8 [n, 32, 32, 3] and their labels int64 [n], 0..9."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def digits_split() -> tuple[Digits, Digits]:
    """Return the 1,297 training images and the 500 held-out ones, in a fixed order.

    Raises:
        DatasetError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 - a second to import, and only this needs it
    except ImportError as error:
        problem = "The data set `digits` comes with scikit-learn, which is not installed."
        raise DatasetError(problem, "Run `pip install scikit-learn`.") from error
    bundle = load_digits()
    order = sorted(range(len(bundle.target)), key=lambda index: _number("shuffle", index))
    images = np.stack([_enlarged(bundle.images[index]) for index in order])
    labels = np.asarray(bundle.target, dtype=np.int64)[order]
    train, held_out = slice(None, TRAINING_IMAGES), slice(TRAINING_IMAGES, None)
    return Digits(images[train], labels[train]), Digits(images[held_out], labels[held_out])


def build_digits(root: Path) -> None:
    """Write the data set to ``root``. An earlier build of it is replaced.

    Raises:
        DatasetError: ``root`` holds something else, or scikit-learn is not installed.
    """
    check_replaceable(root, "digits")
    _, held_out = digits_split()
    records = [
        Record(f"digit-{index:03d}", int(label), _target(index, int(label)), pixels)
        for index, (pixels, label) in enumerate(zip(held_out.images, held_out.labels, strict=True))
    ][:TOURNAMENT_IMAGES]
    write_built(
        root, "digits", records, label_range=_LABELS, size=_SIZE,
        classes=["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        licence="CC BY 4.0",
        source="Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning"
        " Repository; test part, as bundled with scikit-learn, enlarged from 8x8 to 32x32")


def _enlarged(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    grey = np.rint(image * (255 / 16)).astype(np.uint8)
    return np.asarray(Image.fromarray(grey).resize(_SIZE, Image.Resampling.BILINEAR).convert("RGB"))


def _target(index: int, label: int) -> int:
    """Return one of the nine other classes."""
    classes = _LABELS[1] - _LABELS[0] + 1
    return (label + 1 + _number("target", index) % (classes - 1)) % classes


def _number(purpose: str, index: int) -> int:
    return int.from_bytes(hashlib.sha256(f"digits {purpose} {index}".encode()).digest())
