"""The data set ``photos``: 299x299 images with ImageNet's classes, made from free photographs in Debian packages.

Made as the organisers of 2017 made theirs: images that no net was trained on, labelled by pretrained classifiers, looked at by a
person (the sheet of samples). A cut-out is put on a crop of a background; the image is kept where three nets agree. What is drawn
comes from SHA-256 of the seed, the draw and the cut-out, so a build repeats; which candidates are kept is for the nets to say,
whose last digits differ between processors. What they said is kept in the cache: a build that is stopped goes on there.
"""

from __future__ import annotations

import csv
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from harness.dataset.built import check_replaceable, write_built
from harness.dataset.debian import Package, unpacked
from harness.dataset.digest import Record, pixel_sha256
from harness.dataset.net_labels import LABELS, Labels
from harness.dataset.photo_sources import BACKGROUNDS, CUT_OUTS, backgrounds, cut_outs
from harness.errors import DatasetError

SIZE = (299, 299)
#: Share of the frame that the longer side of a cut-out takes.
_SCALE = (0.7, 0.98)
#: Share of a background's shorter side that is seen.
_SEEN = (0.5, 1.0)
#: A background is kept in memory no larger than this, pixels of its shorter side.
_BACKGROUND_SIDE = 800
#: Candidates asked about at once.
_AT_ONCE = 48
#: Draws of each cut-out before a build gives up: every draw keeps about one in four.
_MOST_DRAWS = 60
#: Seconds between two progress messages.
_EVERY_S = 15.0
SHEET_SAMPLES = 24

Tell = Callable[[str], None]
#: The package with the cut-outs, those with the backgrounds.
Sources = tuple[Package, Sequence[Package]]


def build_photos(
    root: Path, labels: Labels, cache_dir: Path, *, images: int = 1000, seed: int = 2017, tell: Tell = lambda _: None,
    sources: Sources = (CUT_OUTS, BACKGROUNDS),
) -> Path:
    """Write the data set to ``root``, where an earlier build is replaced, and a sheet of samples beside it.

    Args:
        root: Where to.
        labels: The nets.
        cache_dir: Keeps packages and what the nets said.
        images: How many.
        seed: Of cut-outs, backgrounds, places and target classes. Another seed gives other images of the same objects.
        tell: Called with the progress.
        sources: The packages with the cut-outs and the backgrounds.

    Returns:
        The sheet.

    Raises:
        DatasetError: Something else is there, the packages are not available, or they give too few images.
    """
    check_replaceable(root, "photos")
    candidates = unlabelled(cache_dir, seed, tell, sources)
    with _CachedLabels(labels, cache_dir / "labels.csv") as known:
        kept = _kept(candidates, known, images, tell)
    records = [Record(f"photo-{number:04d}", label, _target(seed, number, label), pixels)
               for number, (label, pixels) in enumerate(kept)]
    names = " ".join(f"{package.name} {package.version}," for package in (sources[0], *sources[1]))
    write_built(root, "photos", records, label_range=LABELS, size=SIZE, classes=list(labels.classes),
                licence="GPL 2 or later, CC BY 4.0, CC BY-SA, CC0: see the copyright files of the packages",
                source=f"cut-outs on backgrounds, from the Debian packages {names} labelled by EfficientNet-Lite 0, 1 and 2;"
                f" seed {seed}")
    sheet = root.parent / f"{root.name}-sheet.png"
    _write_sheet(records, labels.classes, sheet)
    return sheet


def unlabelled(cache_dir: Path, seed: int, tell: Tell = lambda _: None, sources: Sources = (CUT_OUTS, BACKGROUNDS)) -> Candidates:
    """All images that a seed gives, before any net has seen them; also what trains without labels.

    Raises:
        DatasetError: The packages are not available.
    """
    stamps = unpacked(sources[0], cache_dir, tell)
    scenes = [unpacked(package, cache_dir, tell) for package in sources[1]]
    return Candidates(stamps, cut_outs(stamps), backgrounds(scenes), seed)


class Candidates:
    """Images uint8 [299, 299, 3], each of its draws using every cut-out once, in an order of its own."""

    def __init__(self, root: Path, stamps: Sequence[Path], scenes: Sequence[Path], seed: int) -> None:
        if not stamps or not scenes:
            problem = f"The packages hold {len(stamps)} cut-outs and {len(scenes)} backgrounds that can be used."
            raise DatasetError(problem, "Remove the directories in the cache that were unpacked from them, and build again.")
        self._root, self._stamps, self._scenes, self._seed = root, stamps, scenes, seed
        self._scene = cache(_scene)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Compose one after the other."""
        for draw in range(_MOST_DRAWS):
            for stamp in sorted(self._stamps, key=lambda path: self._draws(draw, path)):
                yield self._composed(stamp, self._draws(draw, stamp))

    def _draws(self, draw: int, stamp: Path) -> list[float]:
        """Eight numbers in [0, 1)."""
        name = stamp.relative_to(self._root).as_posix()
        return [int(number) / 2**32 for number in np.frombuffer(_digest(f"{self._seed} {draw} {name}"), ">u4")]

    def _composed(self, stamp: Path, draws: list[float]) -> NDArray[np.uint8]:
        _, which, seen, x, y, scale, left, top = draws
        scene = self._scene(self._scenes[int(which * len(self._scenes))])
        side = min(scene.size) * _between(_SEEN, seen)
        corner = (scene.width - side) * x, (scene.height - side) * y
        picture = scene.resize(SIZE, Image.Resampling.BICUBIC, (*corner, corner[0] + side, corner[1] + side))
        with Image.open(stamp) as opened:
            cut = opened.convert("RGBA")
        cut = cut.crop(cut.getbbox(alpha_only=True))
        factor = _between(_SCALE, scale) * SIZE[0] / max(cut.size)
        cut = cut.resize((max(1, round(cut.width * factor)), max(1, round(cut.height * factor))), Image.Resampling.BICUBIC)
        picture.paste(cut, (round((SIZE[0] - cut.width) * left), round((SIZE[1] - cut.height) * top)), cut)
        return np.asarray(picture)


class _CachedLabels:
    """The nets with a cache file of their predictions, by the digest of the pixels; a truncated line counts as missing."""

    def __init__(self, labels: Labels, path: Path) -> None:
        self._labels, self._path, self._known = labels, path, dict[str, int | None]()

    def __enter__(self) -> Self:
        if self._path.exists():
            with self._path.open(newline="", encoding="utf-8", errors="replace") as file:
                rows = [row for row in csv.reader(file) if len(row) == 3 and row[2] == "."]  # noqa: PLR2004
            self._known = {sha256: int(label) if label else None for sha256, label, _ in rows}
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def of(self, images: list[NDArray[np.uint8]]) -> list[int | None]:
        digests = [pixel_sha256(image) for image in images]
        new = [place for place, sha256 in enumerate(digests) if sha256 not in self._known]
        if new:
            found = self._labels.of(np.stack([images[place] for place in new]))
            self._known |= {digests[place]: label for place, label in zip(new, found, strict=True)}
            self._file.writelines(f"{digests[place]},{'' if label is None else label},.\n"
                                  for place, label in zip(new, found, strict=True))
            self._file.flush()
            os.fsync(self._file.fileno())
        return [self._known[sha256] for sha256 in digests]


def _kept(candidates: Candidates, known: _CachedLabels, images: int, tell: Tell) -> list[tuple[int, NDArray[np.uint8]]]:
    kept: list[tuple[int, NDArray[np.uint8]]] = []
    start = spoken = time.monotonic()
    tried, remaining = 0, iter(candidates)
    while len(kept) < images and (some := list(islice(remaining, _AT_ONCE))):
        tried += len(some)
        kept += [(label, pixels) for label, pixels in zip(known.of(some), some, strict=True) if label is not None]
        if (now := time.monotonic()) - spoken > _EVERY_S and kept:
            spoken = now
            left = (now - start) / len(kept) * (images - len(kept))
            tell(f"{min(len(kept), images)} of {images} images, {tried} candidates; about {max(1, round(left / 60))} min left.")
    if len(kept) < images:
        problem = f"Of {tried} candidates the nets agree on {len(kept)}, fewer than {images}."
        raise DatasetError(problem, "Ask for fewer with --images.")
    return kept[:images]


def _write_sheet(records: Sequence[Record], classes: Sequence[str], path: Path) -> None:
    """Samples with the names of their classes, for a person to look at."""
    samples = records[:: max(1, len(records) // SHEET_SAMPLES)][:SHEET_SAMPLES]
    columns, caption = 6, 14
    sheet = Image.new("RGB", (columns * SIZE[0], -(-len(samples) // columns) * (SIZE[1] + caption)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, record in enumerate(samples):
        left, top = number % columns * SIZE[0], number // columns * (SIZE[1] + caption)
        sheet.paste(Image.fromarray(record.pixels), (left, top))
        draw.text((left + 2, top + SIZE[1]), f"{record.image_id}: {record.label} {classes[record.label - LABELS[0]]}", fill="black")
    unfinished = path.with_name(f".{path.name}.part")
    sheet.save(unfinished, "PNG")
    unfinished.replace(path)


def _scene(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        scene = opened.convert("RGB")
    factor = _BACKGROUND_SIDE / min(scene.size)
    size = round(scene.width * factor), round(scene.height * factor)
    return scene if factor >= 1 else scene.resize(size, Image.Resampling.LANCZOS)


def _target(seed: int, number: int, label: int) -> int:
    """One of the 999 other classes."""
    low, high = LABELS
    count = high - low + 1
    return low + (label - low + 1 + int.from_bytes(_digest(f"target {seed} {number}")) % (count - 1)) % count


def _between(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * share


def _digest(text: str) -> bytes:
    return hashlib.sha256(f"photos {text}".encode()).digest()
