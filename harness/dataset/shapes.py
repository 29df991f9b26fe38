"""A data set of rendered shapes, made offline: colour, noise and JPEG as in photographs, any number of images.

It is for detection contests. On smooth images every detector of noise is right; here each image has noise of its own strength,
and a random half has been through JPEG. Image ``index`` of a part depends on nothing but the part's name and the index, so the
parts that entries are trained on never overlap the tournament's. ``RandomState`` and not ``default_rng``: its streams are frozen.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.dataset.built import check_replaceable, write_built
from harness.dataset.digest import Record

#: Images of the tournament: 1,000 suffice for a detector's true positive rate at 1 % false positives.
TOURNAMENT_IMAGES = 1000
CLASSES = ("disc", "ring", "half disc", "crescent", "triangle", "square", "bar", "cross", "star", "heart")
_SIDE = 64
#: Samples per pixel and direction, for smooth edges.
_SAMPLES = 4

_Contours = list[NDArray[np.float64]]


class Shapes(NamedTuple):
    """Images uint8 [n, 64, 64, 3] and their labels int64 [n], 0..9."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def shapes(part: str, count: int, start: int = 0) -> Shapes:
    """Return images ``start``.. of a part: ``test`` is the tournament's, any other name is for training."""
    made = [_image(part, index) for index in range(start, start + count)]
    return Shapes(np.stack([pixels for pixels, _ in made]), np.array([label for _, label in made], dtype=np.int64))


def build_shapes(root: Path, count: int = TOURNAMENT_IMAGES) -> None:
    """Write the first ``count`` images of the part ``test`` to ``root``. An earlier build of it is replaced.

    Raises:
        DatasetError: ``root`` holds something else.
    """
    check_replaceable(root, "shapes")
    images, labels = shapes("test", count)
    records = [
        Record(f"shape-{index:04d}", int(label), _target(index, int(label)), pixels)
        for index, (pixels, label) in enumerate(zip(images, labels, strict=True))
    ]
    write_built(
        root, "shapes", records, label_range=(0, len(CLASSES) - 1), size=(_SIDE, _SIDE), classes=CLASSES,
        licence="CC0 1.0", source="rendered by this harness: shapes with grain drawn per image, a random half compressed as JPEG")


def _image(part: str, index: int) -> tuple[NDArray[np.uint8], int]:
    random = np.random.RandomState(_number(part, index) % 2**32)
    label = int(random.randint(len(CLASSES)))
    covered = _covered(_placed(_CONTOURS[label](), random))[:, :, None]
    background, colour = _colours(random)
    across, down = np.meshgrid(*[np.linspace(-1, 1, _SIDE)] * 2)

    def shaded(base: NDArray[np.float64]) -> NDArray[np.float64]:
        """A colour under light from one side."""
        angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0, 30)
        light = (across * np.cos(angle) + down * np.sin(angle)) * strength
        return np.asarray(base + light[:, :, None] * random.uniform(0.6, 1.4, 3))

    scene = (1 - covered) * shaded(background) + covered * shaded(colour)
    return _photographed(scene, random), label


def _colours(random: np.random.RandomState) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two colours that are easy to tell apart."""
    while True:
        pair = random.uniform(20, 235, (2, 3))
        if np.linalg.norm(pair[0] - pair[1]) > 90:  # noqa: PLR2004 - below it a shape drowns in its own shading
            return pair[0], pair[1]


def _photographed(scene: NDArray[np.float64], random: np.random.RandomState) -> NDArray[np.uint8]:
    """Add grain, brightness more than colour, and compress every second image, as a camera does.

    Grain and quality are drawn for each image, so that no single threshold on noise separates clean from attacked images.
    """
    strength = random.uniform(0.5, 5)
    grain = random.normal(0, 1, (_SIDE, _SIDE, 1)) + 0.5 * random.normal(0, 1, scene.shape)
    pixels = np.clip(np.rint(scene + strength * grain), 0, 255).astype(np.uint8)
    quality, compressed = int(random.randint(60, 96)), random.uniform() < 0.5  # noqa: PLR2004
    if not compressed:
        return pixels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def _placed(contours: _Contours, random: np.random.RandomState) -> _Contours:
    """Turn, scale, stretch a little and move: points in pixels, [n, 2] as (x, y)."""
    angle, scale, stretch = random.uniform(0, 2 * np.pi), random.uniform(15, 25), random.uniform(0.9, 1.1)
    centre = _SIDE / 2 + random.uniform(-6, 6, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [stretch, 1 / stretch]
    return [points @ turn.T * scale + centre for points in contours]


def _covered(contours: _Contours) -> NDArray[np.float64]:
    """Return the share of each pixel that lies within, even-odd: an inner contour is a hole."""
    fine = _SIDE * _SAMPLES
    rows = (np.arange(fine) + 0.5) / _SAMPLES
    crossings = np.zeros((fine, fine + 1), dtype=np.int64)
    for points in contours:
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            hit = np.flatnonzero((y0 <= rows) != (y1 <= rows))
            if len(hit):
                x = x0 + (rows[hit] - y0) * (x1 - x0) / (y1 - y0)
                np.add.at(crossings, (hit, np.clip(np.rint(x * _SAMPLES), 0, fine).astype(np.int64)), 1)
    inside = np.cumsum(crossings, axis=1)[:, :fine] % 2
    return np.asarray(inside.reshape(_SIDE, _SAMPLES, _SIDE, _SAMPLES).mean((1, 3)))


def _arc(radius: float, low: float = 0, high: float = 2, centre: float = 0, points: int = 48) -> NDArray[np.float64]:
    """Points on a circle, angles in half turns, the centre on the x axis."""
    angles = np.linspace(low, high, points) * np.pi
    return np.stack([centre + radius * np.cos(angles), radius * np.sin(angles)], 1)


def _polygon(corners: int, radius: float) -> NDArray[np.float64]:
    return _arc(radius, 0, 2 - 2 / corners, points=corners)


def _rectangle(width: float, height: float) -> NDArray[np.float64]:
    return np.array([(-width, -height), (width, -height), (width, height), (-width, height)])


def _cross() -> NDArray[np.float64]:
    arm = 0.28
    quarter = np.array([(arm, arm), (arm, 1), (-arm, 1)])
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in np.arange(4) * np.pi / 2]
    return np.concatenate([quarter @ turn.T for turn in turns])


def _star() -> NDArray[np.float64]:
    points = _polygon(10, 1.05)
    points[1::2] *= 0.42
    return points


def _heart() -> NDArray[np.float64]:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    down = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t) + 2.5
    return np.stack([16 * np.sin(t)**3, down], 1) / 16


_CONTOURS: tuple[Callable[[], _Contours], ...] = (
    lambda: [_arc(0.9)],
    lambda: [_arc(0.95), _arc(0.55)],
    lambda: [_arc(1.05, -0.5, 0.5, centre=-0.45)],
    lambda: [np.concatenate([_arc(1, 0.25, 1.75), _arc(0.78, 1.6, 0.4, centre=0.47)])],
    lambda: [_polygon(3, 1.1)],
    lambda: [_rectangle(0.8, 0.8)],
    lambda: [_rectangle(1.05, 0.3)],
    lambda: [_cross()],
    lambda: [_star()],
    lambda: [_heart()],
)


def _target(index: int, label: int) -> int:
    """Return one of the nine other classes."""
    return (label + 1 + _number("target", index) % (len(CLASSES) - 1)) % len(CLASSES)


def _number(purpose: str, index: int) -> int:
    return int.from_bytes(hashlib.sha256(f"shapes {purpose} {index}".encode()).digest())
