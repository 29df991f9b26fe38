"""Write a data set to disk: to a temporary directory beside its path, moved there when complete.

An import that is stopped, or that finds a fault in the last of 5,000 images, leaves nothing behind.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from harness.dataset.digest import HashedRecord, digest_of_hashes, pixel_sha256
from harness.dataset.files import COLUMNS, DESCRIPTION, HASH_COLUMN, IMAGES, METADATA
from harness.errors import DatasetError

#: Images in memory at once.
_AT_ONCE = 256


@dataclass(frozen=True)
class Plan:
    """One image to write.

    Attributes:
        image_id: Its name in the data set.
        label: True label.
        target: Target class.
        source: Where it came from, for people; a further column of metadata.csv.
        pixels: Makes uint8[h, w, 3] of the data set's size.
    """

    image_id: str
    label: int
    target: int
    source: str
    pixels: Callable[[], NDArray[np.uint8]]


def write_dataset(
    into: Path,
    plans: Sequence[Plan],
    *,
    label_range: tuple[int, int],
    size: tuple[int, int],
    classes: Sequence[str],
    source: str,
) -> list[HashedRecord]:
    """Write ``images/*.png``, ``metadata.csv`` and ``dataset.yaml`` to a directory that is not there yet, or is empty.

    Returns:
        What was written, in the order of the plans.

    Raises:
        DatasetError: There is something already, or the disk does not take it; what ``Plan.pixels`` raises.
    """
    check_free(into)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{into.name}-", dir=into.parent))
        try:
            hashed = _write_images(unfinished, plans)
            _write_metadata(unfinished, plans, hashed)
            described = {
                "name": shown(into.resolve().name)[:100],
                "digest": digest_of_hashes(label_range, size, hashed),
                "label_low": label_range[0],
                "label_high": label_range[1],
                "width": size[0],
                "height": size[1],
                "classes": list(classes),
                "licence": "unknown",
                "source": source,
            }
            text = yaml.safe_dump(described, sort_keys=False, width=1000, allow_unicode=True)
            (unfinished / DESCRIPTION).write_text(text, encoding="utf-8")
            unfinished.chmod(0o755)
            unfinished.rename(into)
            return hashed
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        problem = f"The data set {into} cannot be written ({error.strerror})."
        raise DatasetError(problem, "Free some space, or name a writable place.") from error


def check_free(into: Path) -> None:
    """Refuse a place where there is something already.

    Raises:
        DatasetError: There is.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        problem = f"{into} already exists."
        raise DatasetError(problem, "Name another place, or remove it.")


def shown(name: str) -> str:
    """A file's name as text that can be written and printed, whatever its bytes are."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _write_images(root: Path, plans: Sequence[Plan]) -> list[HashedRecord]:
    (root / IMAGES).mkdir()

    def one(plan: Plan) -> HashedRecord:
        pixels = plan.pixels()
        file = io.BytesIO()
        # Level 6 takes twice as long and saves a few percent of photographs.
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        (root / IMAGES / f"{plan.image_id}.png").write_bytes(file.getvalue())
        return HashedRecord(plan.image_id, plan.label, plan.target, pixel_sha256(pixels))

    hashed: list[HashedRecord] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for group in _groups(plans):
            hashed += threads.map(one, group)
    return hashed


def _groups(plans: Iterable[Plan]) -> Iterator[list[Plan]]:
    remaining = iter(plans)
    while group := list(islice(remaining, _AT_ONCE)):
        yield group


def _write_metadata(root: Path, plans: Sequence[Plan], hashed: Sequence[HashedRecord]) -> None:
    with (root / METADATA).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow((*COLUMNS, HASH_COLUMN, "Source"))
        rows.writerows((*record, plan.source) for record, plan in zip(hashed, plans, strict=True))
