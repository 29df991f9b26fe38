"""Images that somebody has, made into a data set: with a CSV of the 2017 format, or one directory per class.

Each image is cropped around its centre to the asked shape and resized bicubically; one that has the asked size already keeps
its pixels. Ids of an image folder are digests of the path: sorted by id, the images of all classes are mixed, so that no batch
is all of one class.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from harness.dataset_files import read_rows
from harness.dataset_verify import verify
from harness.dataset_write import Plan, write_dataset
from harness.errors import DatasetError
from harness.images import UnreadableImageError, open_rgb
from harness.predictions import OUT_OF_RANGE

__all__ = ["import_csv", "import_folder", "verify"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
#: A photograph of 8000x8000; beyond it is a mistake.
_MAX_PIXELS = 64_000_000
#: A target class must differ from the true one.
_MIN_CLASSES = 2


def import_csv(
    source: Path, csv_path: Path, into: Path, *, size: tuple[int, int] = (299, 299), label_range: tuple[int, int] = (1, 1000),
    label_offset: int = 0,
) -> None:
    """Make a data set from a directory of images and a CSV with the columns ImageId, TrueLabel, TargetClass.

    Args:
        source: Directory that holds ``<ImageId>`` with any image suffix.
        csv_path: The CSV; further columns are ignored.
        into: Directory to make.
        size: Width and height of the data set's images.
        label_range: Lowest and highest label, after the offset.
        label_offset: Added to every label and target class.

    Raises:
        DatasetError: Anything missing, unreadable, twice or out of range.
    """
    _check(source, size, label_range)
    rows = read_rows(csv_path, label_range, offset=label_offset)
    found = _images_by_stem(source)
    missing = [row.image_id for row in rows if row.image_id not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        problem = f"{source} holds no image {missing[0]}{more} that {csv_path} names."
        raise DatasetError(problem, "Name the directory with all images.")
    plans = [
        Plan(row.image_id, row.label, row.target, found[row.image_id].name, _pixels_of(found[row.image_id], size))
        for row in rows
    ]
    write_dataset(into, plans, label_range=label_range, size=size, classes=(), source=f"imported with {csv_path.name}")


def import_folder(source: Path, into: Path, *, size: tuple[int, int] = (299, 299), seed: int = 2017) -> None:
    """Make a data set from a folder with one directory per class; labels count from 0 in the order of their names.

    Args:
        source: The folder.
        into: Directory to make.
        size: Width and height of the data set's images.
        seed: Of the target classes, which are never the true ones.

    Raises:
        DatasetError: Fewer than two classes, an empty one, or an unreadable image.
    """
    _check(source, size, (0, 1))
    classes = sorted(entry.name for entry in source.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not _MIN_CLASSES <= len(classes) < OUT_OF_RANGE:
        problem = f"{source} has {len(classes)} directories, and a data set needs at least two classes."
        raise DatasetError(problem, "Name a folder with one directory of images per class, or give --csv.")
    plans = []
    for label, name in enumerate(classes):
        images = [path for path in sorted((source / name).iterdir()) if path.suffix.lower() in _SUFFIXES]
        if not images:
            problem = f"The class {source / name} holds no image."
            raise DatasetError(problem, "Remove the directory, or put images into it.")
        for path in images:
            image_id = hashlib.sha256(f"{name}/{path.name}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
            target = _target(seed, image_id, label, len(classes))
            plans.append(Plan(image_id, label, target, ascii(f"{name}/{path.name}")[1:-1], _pixels_of(path, size)))
    plans.sort(key=lambda plan: plan.image_id)
    origin = f"imported from {source.resolve().name}"
    write_dataset(into, plans, label_range=(0, len(classes) - 1), size=size, classes=classes, source=origin)


def _check(source: Path, size: tuple[int, int], label_range: tuple[int, int]) -> None:
    if not source.is_dir():
        problem = f"{source} is not a directory of images."
        raise DatasetError(problem, "Correct the path.")
    if min(size) < 1 or size[0] * size[1] > _MAX_PIXELS:
        problem = f"Images of {size[0]}x{size[1]} pixels cannot be made."
        raise DatasetError(problem, "Correct --size.")
    if not 0 <= label_range[0] <= label_range[1] < OUT_OF_RANGE:
        problem = f"The label range {label_range[0]}..{label_range[1]} is not within 0..{OUT_OF_RANGE - 1}."
        raise DatasetError(problem, "Correct --labels.")


def _images_by_stem(source: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        path = Path(entry.path)
        if path.suffix.lower() not in _SUFFIXES or not entry.is_file():
            continue
        if path.stem in found:
            problem = f"{source} holds both {found[path.stem].name} and {path.name}."
            raise DatasetError(problem, "Remove one of them.")
        found[path.stem] = path
    return found


def _pixels_of(path: Path, size: tuple[int, int]) -> Callable[[], NDArray[np.uint8]]:
    return partial(_read, path, size)


def _read(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        image = open_rgb(path.read_bytes(), _MAX_PIXELS)
    except OSError as error:
        problem = f"The image {path} cannot be read ({error.strerror})."
        raise DatasetError(problem, "Correct or remove it.") from error
    except UnreadableImageError as error:
        problem = f"The image {path} cannot be decoded ({error.reason})."
        raise DatasetError(problem, "Correct or remove it.") from error
    if image.size == size:
        return np.asarray(image)
    return np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC))


def _target(seed: int, image_id: str, label: int, count: int) -> int:
    number = int.from_bytes(hashlib.sha256(f"target {seed} {image_id}".encode()).digest())
    return (label + 1 + number % (count - 1)) % count
