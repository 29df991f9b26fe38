"""All verdicts of a tournament, eight to a byte, and how they are counted without unpacking them.

A 2017-size final has 89 million verdicts of three bits: 35 MB as planes of bits. Counted over images a plane is a population
count; counted over opponents it is an addition of K one-bit numbers at each bit position, done by full adders on whole planes
(three planes of one weight become one of that weight and one of twice the weight), some five bitwise operations a plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bits of one verdict. CORRECT is only set together with LABELLED; TARGET without it says that the image was rejected.
LABELLED, CORRECT, TARGET = np.uint8(1), np.uint8(2), np.uint8(4)
BITS = (LABELLED, CORRECT, TARGET)

Planes = NDArray[np.uint8]
#: Rows of planes are whole words of this type, so that they are counted a word at a time.
_WORD = np.dtype(np.uint64)


@dataclass(frozen=True)
class Layout:
    """Where each of N images is among the bits of a row.

    Attributes:
        columns: int64[N], ascending bit positions; positions between them are padding, which is always 0.
        width: Bytes of a row, a multiple of 8.
    """

    columns: NDArray[np.int64]
    width: int

    @classmethod
    def of_batches(cls, sizes: Sequence[int], row_bytes: int) -> Layout:
        """Batches one after the other, each of which begins at a multiple of ``row_bytes`` bytes."""
        columns = [np.arange(size) + 8 * row_bytes * place for place, size in enumerate(sizes)]
        return cls(np.concatenate([np.zeros(0, np.int64), *columns]).astype(np.int64), _whole_words(row_bytes * len(sizes)))

    @property
    def images(self) -> int:
        """N."""
        return len(self.columns)

    def pack(self, mask: NDArray[np.bool_]) -> Planes:
        """bool[..., N] as uint8[..., width]."""
        bits = np.zeros((*mask.shape[:-1], 8 * self.width), np.bool_)
        bits[..., self.columns] = mask
        return np.packbits(bits, axis=-1, bitorder="little")

    def unpack(self, planes: Planes) -> NDArray[np.uint8]:
        """uint8[..., width] as zeros and ones, uint8[..., N]."""
        return np.unpackbits(planes, axis=-1, bitorder="little")[..., self.columns]


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of every pair.

    Attributes:
        layout: Of the images in a row.
        planes: uint8[3, A, D, width]: labelled, correct, target; target without labelled: rejected as adversarial.
    """

    layout: Layout
    planes: Planes

    @classmethod
    def of(cls, codes: NDArray[np.uint8]) -> Verdicts:
        """From uint8[A, D, N] of ``LABELLED | CORRECT | TARGET``."""
        layout = Layout.of_batches([codes.shape[-1]], (codes.shape[-1] + 7) // 8)
        return cls(layout, np.stack([layout.pack((codes & bit).astype(np.bool_)) for bit in BITS]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """A, D, N."""
        return self.planes.shape[1], self.planes.shape[2], self.layout.images

    def codes(self, attack: int) -> NDArray[np.uint8]:
        """One attack's verdicts, uint8[D, N] of ``LABELLED | CORRECT | TARGET``."""
        found = np.zeros(self.shape[1:], np.uint8)
        for bit, plane in zip(BITS, self.planes[:, attack], strict=True):
            found |= self.layout.unpack(plane) * bit
        return found


def rejections_apart(planes: Planes) -> Planes:
    """uint8[3, ...] of labelled, correct, target as uint8[4, ...] with what was rejected, which is no target then."""
    labelled, correct, target = planes
    return np.stack([labelled, correct, target & labelled, target & ~labelled])


def rejections_as_labels(planes: Planes) -> None:
    """Where no rule lets a defense reject: the label -1 is one that no image has. Of uint8[3, ...], in place."""
    labelled, _, target = planes
    rejected = target & ~labelled
    labelled |= rejected
    target ^= rejected


def count_bits(planes: Planes) -> NDArray[np.int64]:
    """How many bits of each row are set, int64[...] of uint8[..., width]."""
    counts: NDArray[np.int64] = np.bitwise_count(_words(planes)).sum(-1, dtype=np.int64)
    return counts


def add_planes(planes: Planes) -> list[Planes]:
    """How many of K rows have each bit set, as binary digits.

    Args:
        planes: uint8[..., K, width].

    Returns:
        uint8[..., width] each: digit 0 (worth 1), digit 1 (worth 2), and so on; none where K is 0.
    """
    digits: list[Planes] = []
    rows = _words(planes)
    while rows.shape[-2]:
        carries = []
        while (count := rows.shape[-2]) > 1:
            third = max(1, count // 3)
            one, two = rows[..., :third, :], rows[..., third: 2 * third, :]
            either = one ^ two
            if count == 2:  # noqa: PLR2004 - a half adder for the last two
                carries.append(one & two)
                rows = either
                break
            three = rows[..., 2 * third: 3 * third, :]
            carries.append((one & two) | (either & three))
            rows = np.concatenate([either ^ three, rows[..., 3 * third:, :]], axis=-2)
        digits.append(rows[..., 0, :].view(np.uint8))
        rows = np.concatenate(carries, axis=-2) if carries else rows[..., :0, :]
    return digits


def _words(planes: Planes) -> NDArray[Any]:
    return np.ascontiguousarray(planes).view(_WORD)


def _whole_words(row_bytes: int) -> int:
    return -(-row_bytes // _WORD.itemsize) * _WORD.itemsize
