"""Images of the gallery as data URIs, small enough together for the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from harness.views.report import Attacked, CleanImage, Gallery, Pixels

#: Bytes of all images together: with the rest, the page of some dozen entries stays below 1 MB, one of hundreds below 5.
_MOST_BYTES, _FEW_ROWS, _BYTES_PER_ROW = 420_000, 40, 4_000
#: Longest side and quality (None: lossless), best first; the first that fits is taken.
_FORMS = ((128, None), (128, 85), (96, 75), (72, 60), (48, 50), (32, 40))
_LEAST_SHOWN = 64
_GREY = 128
#: A change of one or two of 255 everywhere is rounding, and should not look like an attack.
_MOST_MAGNIFIED = 32


@dataclass(frozen=True)
class Pictures:
    """The gallery's images as attributes of ``img``; the grid is that of ``Gallery``.

    Attributes:
        rows: The adversarial image, the difference, and how often that is magnified.
        size: Width and height at which each is shown, in pixels of the page.
    """

    clean: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str, int] | None, ...], ...]
    size: tuple[int, int]


def pictures(gallery: Gallery) -> Pictures:
    """All images in the best form that fits."""
    height, width = gallery.clean[0].pixels.shape[:2]
    most = _MOST_BYTES + _BYTES_PER_ROW * max(0, len(gallery.rows) - _FEW_ROWS)
    made: list[bytes] = []
    for longest, quality in _FORMS:
        made, left = [], most
        for image in _all(gallery):
            made.append(_encoded(image, longest, quality))
            left -= len(made[-1])
            if left < 0:
                break
        else:
            break
    uris = iter([_uri(data) for data in made])
    clean = tuple(next(uris, "") for _ in gallery.clean)
    rows = tuple(tuple(
        None if shown is None else (next(uris, ""), next(uris, ""), magnified(clean, shown))
        for clean, shown in zip(gallery.clean, row.images, strict=True)) for row in gallery.rows)
    scale = max(1, round(_LEAST_SHOWN / max(width, height))) if max(width, height) < _LEAST_SHOWN else 1
    shrink = min(1.0, 96 / (scale * max(width, height)))
    return Pictures(clean, rows, (round(width * scale * shrink), round(height * scale * shrink)))


def _all(gallery: Gallery) -> Iterator[Pixels]:
    yield from (image.pixels for image in gallery.clean)
    for row in gallery.rows:
        for clean, shown in zip(gallery.clean, row.images, strict=True):
            if shown is not None:
                yield shown.pixels
                yield difference(clean, shown)


def _changed(clean: CleanImage, shown: Attacked) -> NDArray[np.int32]:
    return shown.pixels.astype(np.int32) - clean.pixels


def magnified(clean: CleanImage, shown: Attacked) -> int:
    """How often a difference can be magnified so that its largest change still has a colour of its own."""
    most = int(np.abs(_changed(clean, shown)).max(initial=0))
    return min(_MOST_MAGNIFIED, (_GREY - 1) // most) if 0 < most < _GREY else 1


def difference(clean: CleanImage, shown: Attacked) -> Pixels:
    """What an attack added, magnified, around grey: uint8[h, w, 3]."""
    made: Pixels = np.clip(_GREY + magnified(clean, shown) * _changed(clean, shown), 0, 255).astype(np.uint8)
    return made


def _encoded(pixels: Pixels, longest: int, quality: int | None) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest))
    file = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "method": 4} if quality is None else {"quality": quality, "method": 4}
    image.save(file, "WEBP", **options)
    return file.getvalue()


def _uri(data: bytes) -> Markup:
    return Markup("data:image/webp;base64,") + base64.b64encode(data).decode()
