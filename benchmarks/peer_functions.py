"""What the programs of the contest workload compute: attacks and defenses on a linear model, with numpy and Pillow only.

Each entry carries a copy of this file and of its own weights. Everything is worked out for one image after the other, so that a
label does not depend on what else is in a batch, nor on how many images a batch holds.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from harness.sdk import within

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float32]

#: Side of a cell in pixels: features are means over cells, 13 x 13 of them in an image of 299 x 299.
CELL = 23
_STEPS = 5
_DRAWS = 4
_RADII = (2, 4, 8)
_WEIGHTS = Path(__file__).with_name("weights.npy")
#: float32 [features + 1, classes]; the last row is the bias.
WEIGHTS: Numbers = np.load(_WEIGHTS) if _WEIGHTS.exists() else np.zeros((1, 1), np.float32)


def means(image: NDArray[Any]) -> Numbers:
    """Mean of each cell and channel, about -1 to 1: what the attackers' model sees."""
    height, width, channels = image.shape
    cells = image.reshape(height // CELL, CELL, width // CELL, CELL, channels)
    return (cells.mean(axis=(1, 3), dtype=np.float32) / 128 - 1).ravel()


def features(image: Pixels) -> Numbers:
    """Means, and mean absolute differences of neighbours in both directions: what the defenders' models see."""
    numbers = image.astype(np.float32)
    across = np.abs(np.diff(numbers, axis=1, append=numbers[:, -1:]))
    down = np.abs(np.diff(numbers, axis=0, append=numbers[-1:]))
    return np.concatenate([means(numbers), means(across) + 1, means(down) + 1])


def scores(seen: Numbers) -> Numbers:
    """Score of each class for the features of one image."""
    return (seen[:, None] * WEIGHTS[:-1]).sum(axis=0) + WEIGHTS[-1]


# --- attacks


def sign_noise(images: Pixels, epsilon: int) -> Pixels:
    """Of several draws of +epsilon and -epsilon the one that the model likes least."""
    return np.stack([_noise(image, epsilon) for image in images])


def _noise(image: Pixels, epsilon: int) -> Pixels:
    generator = np.random.default_rng(int(image.sum()))
    draws = [within(image, image + epsilon * generator.choice((-1, 1), image.shape), epsilon) for _ in range(_DRAWS)]
    label = int(scores(means(image)).argmax())
    return min(draws, key=lambda drawn: _margin(drawn, label))


def blur_and_push(images: Pixels, epsilon: int) -> Pixels:
    """A blurred image (of several radii the one that the model likes least), pushed away from its class."""
    return np.stack([_blurred(image, epsilon) for image in images])


def _blurred(image: Pixels, epsilon: int) -> Pixels:
    label = int(scores(means(image)).argmax())
    picture = Image.fromarray(image)
    blurred = [np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32) for radius in _RADII]
    pushed = [within(image, one + epsilon * _slope(one, label, -1), epsilon) for one in blurred]
    return min(pushed, key=lambda one: _margin(one, label))


def iterated_gradient(images: Pixels, epsilon: int) -> Pixels:
    """Small steps away from the class that the model sees, with momentum."""
    return np.stack([_iterate(image, int(scores(means(image)).argmax()), epsilon, towards=False) for image in images])


def iterated_target(images: Pixels, targets: NDArray[np.int64], epsilon: int) -> Pixels:
    """Small steps towards the target class, with momentum."""
    return np.stack([_iterate(image, int(target) - 1, epsilon, towards=True)
                     for image, target in zip(images, targets, strict=True)])


def _iterate(image: Pixels, label: int, epsilon: int, *, towards: bool) -> Pixels:
    moved, momentum = image.astype(np.float32), np.zeros(image.shape, np.float32)
    for _ in range(_STEPS):
        momentum = momentum + _slope(moved, label, 1 if towards else -1)
        moved = within(image, moved + 1.5 * epsilon / _STEPS * np.sign(momentum), epsilon).astype(np.float32)
    return moved.astype(np.uint8)


def _slope(image: Numbers, label: int, sign: int) -> Numbers:
    """Direction (of length about 1) in which the class becomes more (sign 1) or less (-1) likely, for every pixel."""
    likely = scores(means(image))
    likely = np.exp(likely - likely.max())
    pull = -likely / likely.sum()
    pull[label] += 1
    side = image.shape[0] // CELL
    cells = (WEIGHTS[:-1] * pull).sum(axis=1).reshape(side, side, -1)
    cells = sign * cells / (np.abs(cells).mean() + 1e-12)
    return cells.repeat(CELL, axis=0).repeat(CELL, axis=1).astype(np.float32)


def _margin(image: Pixels, label: int) -> float:
    found = scores(means(image))
    return float(found[label] - np.delete(found, label).max())


# --- defenses


def linear(images: Pixels) -> NDArray[np.int64]:
    """Labels of the linear model."""
    return np.array([scores(features(image)).argmax() + 1 for image in images], np.int64)


def median(images: Pixels) -> NDArray[np.int64]:
    """Labels behind a median filter of 3 x 3."""
    return linear(np.stack([np.asarray(Image.fromarray(image).filter(ImageFilter.MedianFilter(3))) for image in images]))


def jpeg(images: Pixels) -> NDArray[np.int64]:
    """Labels behind JPEG at quality 75."""
    return linear(np.stack([_compressed(image) for image in images]))


def _compressed(image: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))
