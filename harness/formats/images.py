"""Untrusted image files to pixels, and the enforcement of epsilon. Arrays in, arrays out; it opens no file.

``decode`` reads the header, refuses what is too large, and only then decodes. Whatever the bytes are, it returns
pixels or raises ``UnreadableImageError``: a broken image is an outcome of a run, never an error of the harness. It
does not protect the process it runs in from a decoder that crashes: ``harness.execution.outputs`` calls it in worker processes
for that.

How a file becomes RGB (2017 called Pillow's ``convert("RGB")``, and so do we but for deep pixels, which that call
clips): alpha is dropped, not blended, so the colours stored under it count; a palette is looked up; grey is repeated;
16-bit channels keep their high byte; floating-point pixels are rounded and cut to 0..255; of an animation the first
frame (of an APNG the default image) counts; orientation tags and colour profiles are ignored.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# Pillow registers these two only on a search through all of its forty plugins, most of which must never see these
# bytes.
from PIL import TiffImagePlugin as _TiffImagePlugin  # noqa: F401
from PIL import WebPImagePlugin as _WebPImagePlugin  # noqa: F401

from harness.formats.perturbation import CorruptArtifactError, checksum, decode_perturbation, encode_perturbation, pixel_digest
from harness.formats.png import encode_png

__all__ = [
    "CorruptArtifactError",
    "Decoded",
    "UnreadableImageError",
    "changed_images",
    "checksum",
    "decode",
    "decode_perturbation",
    "encode_perturbation",
    "encode_png",
    "enforce",
    "file_byte_limit",
    "linf",
    "open_rgb",
    "pixel_digest",
    "pixel_limit",
    "sums_of_differences",
]

Pixels = NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_REASON_CHARACTERS = 120
_BATCH_DIMENSIONS = 4


class UnreadableImageError(Exception):
    """The bytes are not an image that counts.

    Attributes:
        reason: Short, printable, for the author of the submission.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Decoded:
    """An image as the harness sees it.

    Attributes:
        pixels: uint8[h, w, 3] of the asked size.
        resized: Whether the file had another size.
    """

    pixels: Pixels
    resized: bool


def pixel_limit(size: tuple[int, int]) -> int:
    """Most pixels of a file for an image of this (width, height): 16 times as many, and 2048x2048 in any case."""
    return max(2048 * 2048, 16 * size[0] * size[1])


def file_byte_limit(size: tuple[int, int]) -> int:
    """Most bytes of a file for an image of this (width, height): 16-bit RGBA at the pixel limit would fit."""
    return 8 * pixel_limit(size)


def decode(data: bytes, size: tuple[int, int]) -> Decoded:
    """Pixels of an untrusted image file, brought to the asked size.

    Args:
        data: The whole file.
        size: (width, height) in pixels of the clean image; another size is resized bicubically.

    Raises:
        UnreadableImageError: Not an image, truncated, too large, or of a format or colour mode that does not count.
    """
    if len(data) > file_byte_limit(size):
        reason = f"the file has {len(data)} bytes, more than {file_byte_limit(size)}"
        raise UnreadableImageError(reason)
    image = open_rgb(data, pixel_limit(size))
    if image.size == size:
        return Decoded(np.asarray(image), resized=False)
    return Decoded(np.asarray(image.resize(size, Image.Resampling.BICUBIC)), resized=True)


def open_rgb(data: bytes, max_pixels: int) -> Image.Image:
    """The first frame as an RGB Pillow image in its own size.

    Raises:
        UnreadableImageError: As ``decode``.
    """
    _refuse_large_webp(data, max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height <= max_pixels:
                image.load()
                return _to_rgb(image)
        reason = f"{width}x{height} pixels are too many"
    except UnidentifiedImageError:
        reason = "not an image of a known format" if data else "the file is empty"
    except Image.DecompressionBombError:
        reason = "too many pixels"
    except MemoryError:
        reason = "decoding needs too much memory"
    # Pillow's plugins raise whatever a malformed file drives them into (struct.error, SyntaxError, KeyError, ...).
    except Exception as error:  # noqa: BLE001
        text = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else str(error)
        reason = "".join(character if character.isprintable() else "?" for character in text)
    raise UnreadableImageError(reason[:_REASON_CHARACTERS])


def _refuse_large_webp(data: bytes, max_pixels: int) -> None:
    """Pillow lets libwebp set up its canvas before it tells the size, so the size is read here first."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:  # noqa: PLR2004 - shortest header
        return
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    if width * height > max_pixels:
        reason = f"{width}x{height} pixels are too many"
        raise UnreadableImageError(reason)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image.copy() if image.readonly else image
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(deep, 0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), nan=0.0, posinf=255.0, neginf=0.0)
        return Image.fromarray(np.rint(np.clip(values, 0, 255)).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        # Straight to RGB, Pillow warns about the transparency that this drops.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def enforce(clean: Pixels, adv: Pixels, epsilon: int) -> Pixels:
    """Cut an adversarial image to the allowed box: clip(adv, max(clean - eps, 0), min(clean + eps, 255)), in integers.

    Args:
        clean: uint8[...].
        adv: uint8[...], same shape.
        epsilon: L-infinity bound, 0..255.
    """
    if clean.dtype != np.uint8 or adv.dtype != np.uint8 or clean.shape != adv.shape:
        msg = f"expected two uint8 arrays of one shape, got {clean.dtype}{clean.shape} and {adv.dtype}{adv.shape}"
        raise ValueError(msg)
    if not 0 <= epsilon <= 255:  # noqa: PLR2004 - the range of a pixel
        msg = f"epsilon must lie in 0..255, got {epsilon}"
        raise ValueError(msg)
    result = np.empty_like(adv)
    if clean.ndim < _BATCH_DIMENSIONS:
        _enforce_into(result, clean, adv, epsilon)
        return result
    # Image by image, so that what lies between the steps stays in the processor's cache: 5 ms for 27 MB instead of 30.
    for one_result, one_clean, one_adv in zip(result, clean, adv, strict=True):
        _enforce_into(one_result, one_clean, one_adv, epsilon)
    return result


def _enforce_into(result: Pixels, clean: Pixels, adv: Pixels, epsilon: int) -> None:
    """Saturating sums in uint8, against arrays: numpy compares with an array 13 times as fast as with a number."""
    low, high = _bounds(clean.shape, epsilon)
    edge = np.maximum(clean, low)
    edge -= low
    np.maximum(adv, edge, out=result)
    np.minimum(clean, high, out=edge)
    edge += low
    np.minimum(result, edge, out=result)


@lru_cache(maxsize=8)
def _bounds(shape: tuple[int, ...], epsilon: int) -> tuple[Pixels, Pixels]:
    return np.full(shape, epsilon, np.uint8), np.full(shape, 255 - epsilon, np.uint8)


def sums_of_differences(one: Pixels, other: Pixels) -> NDArray[np.int64]:
    """L1 distance of each two images: int64[n].

    Args:
        one: uint8[n, h, w, 3].
        other: uint8[n, h, w, 3].
    """
    sums = [(np.maximum(a, b) - np.minimum(a, b)).sum(dtype=np.int64) for a, b in zip(one, other, strict=True)]
    return np.array(sums, np.int64)


def changed_images(clean: Pixels, adv: Pixels) -> NDArray[np.bool_]:
    """Which images differ in any pixel: bool[n], of two uint8[n, h, w, 3]."""
    return np.array([not np.array_equal(a, b) for a, b in zip(clean, adv, strict=True)], bool)


def linf(clean: Pixels, adv: Pixels) -> NDArray[np.int32]:
    """L-infinity distance of each image: int32[n] in 0..255.

    Args:
        clean: uint8[n, h, w, 3].
        adv: uint8[n, h, w, 3].
    """
    distances = np.zeros(len(clean), np.int32)
    high, low = np.empty(clean.shape[1:], np.uint8), np.empty(clean.shape[1:], np.uint8)
    for index, (one, other) in enumerate(zip(clean, adv, strict=True)):
        np.maximum(one, other, out=high)
        np.minimum(one, other, out=low)
        high -= low
        distances[index] = high.max(initial=0)
    return distances
