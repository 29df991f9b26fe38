"""Existing images made into a data set: with a CSV of the 2017 format, one directory per class, or labelled by nets.

Each image is cropped around its centre to the requested shape and resized bicubically; one that has the requested size already
keeps its pixels. Ids of an image folder are digests of the path: sorted by id, the images of all classes are mixed, so that no
batch is all of one class. What is no image of a class is left out, counted and named (``Imported``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from harness.dataset.digest import HashedRecord
from harness.dataset.files import read_rows
from harness.dataset.net_labels import LABELS, LEAST, Labels
from harness.dataset.verify import verify
from harness.dataset.write import Plan, check_free, shown, write_dataset
from harness.errors import DatasetError
from harness.formats.images import UnreadableImageError, open_rgb
from harness.formats.result_csv import OUT_OF_RANGE

__all__ = ["Imported", "import_csv", "import_folder", "import_labelled", "verify"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
#: A photograph of 8000x8000; anything larger is a mistake.
_MAX_PIXELS = 64_000_000
#: A target class must differ from the true one.
_MIN_CLASSES = 2
#: Most pixels of one side that a data set declares.
_MAX_SIDE = 16384
#: Images in memory at once while they are labelled.
_LABELLED_AT_ONCE = 64
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass
class Imported:
    """What an import took, what it left out, and why.

    Attributes:
        taken: Images of the data set.
        classes: Names of the labels from 0 on; empty where a CSV gives the labels.
        left_out: Paths by the reason.
        resized: Images that had another size than the data set's.
        twins: Pairs of images with the same pixels, as text, the first ones first.
    """

    taken: int = 0
    classes: tuple[str, ...] = ()
    left_out: dict[str, list[str]] = field(default_factory=dict)
    resized: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, name: str) -> None:
        """Count a file that is not taken."""
        self.left_out.setdefault(reason, []).append(shown(name))

    def sentences(self) -> list[str]:
        """All of it for people, one line each."""
        lines = [f"{self.taken} images taken, {sum(map(len, self.left_out.values()))} files or directories left out."]
        lines += [f"Left out: {len(names)} ({reason}), the first {names[0]}." for reason, names in self.left_out.items()]
        if self.resized:
            lines.append(f"{len(self.resized)} images had another size and were cropped and resized.")
        if self.twins:
            lines.append(f"{len(self.twins)} images have the same pixels as another one, the first {self.twins[0]}.")
        if self.classes:
            lines.append("Labels: " + ", ".join(f"{label} = {name}" for label, name in enumerate(self.classes)) + ".")
        return lines

    def finish(self, plans: Sequence[Plan], hashed: Sequence[HashedRecord]) -> Imported:
        """Count what was written."""
        self.taken = len(plans)
        first: dict[str, Plan] = {}
        for plan, record in zip(plans, hashed, strict=True):
            known = first.setdefault(record.pixel_sha256, plan)
            if known is not plan:
                labels = "" if known.label == plan.label else f", labels {plan.label} and {known.label}"
                self.twins.append(f"{plan.source} as {known.source}{labels}")
        return self


def import_csv(
    source: Path, csv_path: Path, into: Path, *, size: tuple[int, int] = (299, 299), label_range: tuple[int, int] = (1, 1000),
    label_offset: int = 0,
) -> Imported:
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
    rows = read_rows(csv_path, label_range, offset=label_offset, suffixes=_SUFFIXES)
    imported = Imported()
    found = _images_by_stem(source, imported)
    missing = [row.image_id for row in rows if row.image_id not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        problem = f"{source} holds no image {missing[0]}{more} that {csv_path} names."
        raise DatasetError(problem, "Name the directory with all images.")
    wanted = {row.image_id for row in rows}
    for stem, path in found.items():
        if stem not in wanted:
            imported.leave_out("the CSV does not name it", path.name)
    plans = [
        Plan(row.image_id, row.label, row.target, shown(found[row.image_id].name),
             _pixels_of(found[row.image_id], size, imported.resized))
        for row in rows
    ]
    origin = f"imported with {shown(csv_path.name)}"
    return imported.finish(plans, write_dataset(into, plans, label_range=label_range, size=size, classes=(), source=origin))


def import_folder(source: Path, into: Path, *, size: tuple[int, int] = (299, 299), seed: int = 2017) -> Imported:
    """Make a data set from a folder with one directory per class; labels count from 0 in the order of their names.

    Names that are numbers come first, in the order of the numbers: ``2`` before ``10``.

    Args:
        source: The folder.
        into: Directory to make.
        size: Width and height of the data set's images.
        seed: Of the target classes, which are never the true ones.

    Raises:
        DatasetError: Fewer than two classes, an empty one, or an unreadable image.
    """
    _check(source, size, (0, 1))
    imported = Imported()
    classes = sorted(_classes(source, imported), key=_in_order)
    if not _MIN_CLASSES <= len(classes) < OUT_OF_RANGE:
        problem = f"{source} has {len(classes)} directories, and a data set needs at least two classes."
        raise DatasetError(problem, "Name a folder with one directory of images per class, or give --csv.")
    numbers = [name for name in classes if _NUMBER.fullmatch(name)]
    same = next((pair for pair in pairwise(numbers) if int(pair[0]) == int(pair[1])), None)
    if same is not None:
        problem = f"{source} has the directories {same[0]} and {same[1]}, which are the same number."
        raise DatasetError(problem, "Rename one of them.")
    plans = []
    for label, name in enumerate(classes):
        images = _images_of_class(source, name, imported)
        if not images:
            problem = f"The class {source / name} holds no image."
            raise DatasetError(problem, "Remove the directory, or put images into it.")
        for path in images:
            image_id = hashlib.sha256(f"{name}/{path.name}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
            target = _target(seed, image_id, label, len(classes))
            pixels = _pixels_of(path, size, imported.resized)
            plans.append(Plan(image_id, label, target, ascii(f"{name}/{path.name}")[1:-1], pixels))
    plans.sort(key=lambda plan: plan.image_id)
    imported.classes = tuple(shown(name) for name in classes)
    origin = f"imported from {shown(source.resolve().name)}"
    return imported.finish(plans, write_dataset(
        into, plans, label_range=(0, len(classes) - 1), size=size, classes=imported.classes, source=origin))


def import_labelled(
    source: Path, into: Path, labels: Labels, *, size: tuple[int, int] = (299, 299), seed: int = 2017,
) -> Imported:
    """Make a data set from a folder of images without labels: those that pretrained nets agree on, labels 1..1000 as in 2017.

    Args:
        source: The folder; its subdirectories are not looked into.
        into: Directory to make.
        labels: The nets.
        size: Width and height of the data set's images.
        seed: Of the target classes, which are never the true ones.

    Raises:
        DatasetError: No image, none that the nets agree on, or an unreadable one.
    """
    _check(source, size, LABELS)
    check_free(into)  # labelling takes minutes
    imported = Imported()
    paths = list(_images_by_stem(source, imported).values())
    low, high = LABELS
    plans = []
    for start in range(0, len(paths), _LABELLED_AT_ONCE):
        some = paths[start : start + _LABELLED_AT_ONCE]
        for path, label in zip(some, labels.of(np.stack([_read(path, size, []) for path in some])), strict=True):
            if label is None:
                imported.leave_out(f"the nets do not agree on a class with more than {LEAST} each", path.name)
                continue
            image_id = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
            target = low + _target(seed, image_id, label - low, high - low + 1)
            plans.append(Plan(image_id, label, target, ascii(path.name)[1:-1], _pixels_of(path, size, imported.resized)))
    if not plans:
        problem = f"{source} holds {len(paths)} images, and none that the nets agree on."
        raise DatasetError(problem, "Take photographs of single objects that ImageNet has, or name the labels in a CSV.")
    plans.sort(key=lambda plan: plan.image_id)
    origin = f"imported from {shown(source.resolve().name)}, labelled by EfficientNet-Lite 0, 1 and 2"
    return imported.finish(plans, write_dataset(
        into, plans, label_range=LABELS, size=size, classes=labels.classes, source=origin))


def _in_order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if _NUMBER.fullmatch(name) else (1, 0, name)


def _classes(source: Path, imported: Imported) -> list[str]:
    names = []
    for entry in sorted(source.iterdir()):
        if entry.name.startswith("."):
            imported.leave_out("its name begins with a dot", entry.name)
        elif entry.is_dir():
            names.append(entry.name)
        else:
            imported.leave_out("it is in no class directory", entry.name)
    return names


def _images_of_class(source: Path, name: str, imported: Imported) -> list[Path]:
    images = []
    for path in sorted((source / name).iterdir()):
        if reason := _why_not(path):
            imported.leave_out(reason, f"{name}/{path.name}")
        else:
            images.append(path)
    return images


def _why_not(path: Path) -> str:
    """Why a path is not taken for an image; empty where it is."""
    if path.name.startswith("."):
        return "its name begins with a dot"
    if path.is_dir():
        return "it is a directory, which is not searched for images"
    if path.suffix.lower() not in _SUFFIXES:
        return f"its suffix is none of {' '.join(_SUFFIXES)}"
    return "" if path.is_file() else "it is not a file, or a broken link"


def _check(source: Path, size: tuple[int, int], label_range: tuple[int, int]) -> None:
    if not source.is_dir():
        problem = f"{source} is not a directory of images."
        raise DatasetError(problem, "Correct the path.")
    if min(size) < 1 or max(size) > _MAX_SIDE or size[0] * size[1] > _MAX_PIXELS:
        problem = f"Images of {size[0]}x{size[1]} pixels cannot be made."
        raise DatasetError(problem, "Correct --size.")
    if not 0 <= label_range[0] <= label_range[1] < OUT_OF_RANGE:
        problem = f"The label range {label_range[0]}..{label_range[1]} is not within 0..{OUT_OF_RANGE - 1}."
        raise DatasetError(problem, "Correct --labels.")


def _images_by_stem(source: Path, imported: Imported) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(source.iterdir()):
        if reason := _why_not(path):
            imported.leave_out(reason, path.name)
            continue
        if path.stem in found:
            problem = f"{source} holds both {found[path.stem].name} and {path.name}."
            raise DatasetError(problem, "Remove one of them.")
        found[path.stem] = path
    return found


def _pixels_of(path: Path, size: tuple[int, int], resized: list[str]) -> Callable[[], NDArray[np.uint8]]:
    return partial(_read, path, size, resized)


def _read(path: Path, size: tuple[int, int], resized: list[str]) -> NDArray[np.uint8]:
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
    resized.append(path.name)
    return np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC))


def _target(seed: int, image_id: str, label: int, count: int) -> int:
    number = int.from_bytes(hashlib.sha256(f"target {seed} {image_id}".encode()).digest())
    return (label + 1 + number % (count - 1)) % count
