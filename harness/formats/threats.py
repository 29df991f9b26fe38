"""What an attack may change, and how that is enforced: integers in, integers out, image by image.

A threat is a kind of change with one whole number as its bound: the largest change of a pixel (``linf``), the Euclidean norm of
the change over all pixels and channels in 0..255 units (``l2``), the side of the one square that may change (``patch``), or
nothing but the size of the image (``unrestricted``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.formats import images
from harness.tracks import Threat

Pixels = NDArray[np.uint8]

_PIXEL_MAX = 255


@dataclass(frozen=True, eq=False)
class Enforced:
    """A batch within its bound.

    Attributes:
        pixels: uint8, the shape of the batch; a refused image is the clean one.
        measured: int64[n], how far each image went before it was enforced, in whole units rounded up, so that it is above the
            bound exactly where the image was beyond it.
        refused: Position of an image -> why it does not count.
    """

    pixels: Pixels
    measured: NDArray[np.int64]
    refused: Mapping[int, str]


def largest_bound(threat: Threat, size: tuple[int, int]) -> int:
    """The bound above which a threat allows any image of a size (width, height) in pixels."""
    match threat:
        case Threat.L2:
            return math.isqrt(3 * size[0] * size[1] * _PIXEL_MAX**2 - 1) + 1
        case Threat.PATCH:
            return max(size)
        case Threat.LINF | Threat.UNRESTRICTED:
            return _PIXEL_MAX


def in_words(threat: Threat, bound: int) -> str:
    """What is allowed, for a person."""
    match threat:
        case Threat.LINF:
            return f"epsilon {bound}"
        case Threat.L2:
            return f"an L2 norm of {bound}"
        case Threat.PATCH:
            return f"a patch of {bound}x{bound}"
        case Threat.UNRESTRICTED:
            return "any change"


def enforce(threat: Threat, clean: Pixels, adversarial: Pixels, bound: int) -> Enforced:
    """Bring a batch within its bound.

    A change beyond an ``linf`` bound is clipped; beyond an ``l2`` bound it is scaled back towards the clean image, each channel
    rounded towards zero, so that the norm is within; an image that changed outside a ``patch`` is refused.

    Args:
        threat: What may change.
        clean: uint8[n, h, w, 3].
        adversarial: uint8[n, h, w, 3].
        bound: At least 0; ignored where anything may change.
    """
    match threat:
        case Threat.LINF:
            return Enforced(images.enforce(clean, adversarial, bound), images.linf(clean, adversarial).astype(np.int64), {})
        case Threat.L2:
            return _within_norm(clean, adversarial, bound)
        case Threat.PATCH:
            return _within_square(clean, adversarial, bound)
        case Threat.UNRESTRICTED:
            return Enforced(adversarial.copy(), images.linf(clean, adversarial).astype(np.int64), {})


def measure(threat: Threat, clean: Pixels, adversarial: Pixels) -> NDArray[np.int64]:
    """How far each image of a batch goes, as ``Enforced.measured``, without enforcing anything: int64[n].

    Args:
        threat: What may change.
        clean: uint8[n, h, w, 3].
        adversarial: uint8[n, h, w, 3].
    """
    match threat:
        case Threat.LINF | Threat.UNRESTRICTED:
            return images.linf(clean, adversarial).astype(np.int64)
        case Threat.L2:
            return np.array([_norm(one_clean, one) for one_clean, one in zip(clean, adversarial, strict=True)], np.int64)
        case Threat.PATCH:
            return _within_square(clean, adversarial, max(clean.shape[1:3])).measured


def _norm(clean: Pixels, adversarial: Pixels) -> int:
    """Euclidean norm of a change, rounded up; a sum of squares below 2**53 is exact in float64, whatever its order."""
    change = adversarial.ravel().astype(np.float64) - clean.ravel()
    squares = int(np.dot(change, change))
    return math.isqrt(squares - 1) + 1 if squares else 0


def _within_norm(clean: Pixels, adversarial: Pixels, bound: int) -> Enforced:
    result = adversarial.copy()
    measured = np.zeros(len(clean), np.int64)
    for index, (one_clean, one) in enumerate(zip(clean, adversarial, strict=True)):
        change = one.astype(np.int16) - one_clean
        # Counted by size: at most 256 different ones, so that the sum of squares is exact and the scaling is a table of 256.
        size = np.abs(change).astype(np.uint8)
        squares = sum(int(count) * value * value for value, count in enumerate(np.bincount(size.ravel(), minlength=256)))
        measured[index] = math.isqrt(squares - 1) + 1 if squares else 0
        if squares > bound * bound:
            # floor(value * bound / norm), without a rounding on the way. No channel grows, so the sum of squares is within.
            table = np.array([math.isqrt(value * value * bound * bound // squares) for value in range(256)], np.int16)
            result[index] = (one_clean + np.sign(change) * table[size]).astype(np.uint8)
    return Enforced(result, measured, {})


def _within_square(clean: Pixels, adversarial: Pixels, bound: int) -> Enforced:
    result = adversarial.copy()
    measured = np.zeros(len(clean), np.int64)
    refused = {}
    for index, (one_clean, one) in enumerate(zip(clean, adversarial, strict=True)):
        changed = (one_clean != one).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if not len(rows):
            continue
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        measured[index] = max(height, width)
        if measured[index] > bound:
            result[index] = one_clean
            refused[index] = f"its changes span {width}x{height} pixels, and a square of {bound}x{bound} may change"
    return Enforced(result, measured, refused)
