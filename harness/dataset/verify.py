"""Every difference between a data set and its digest, by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.dataset.digest import HashedRecord, digest_of_hashes, pixel_sha256
from harness.dataset.files import IMAGES, METADATA, Description, Row, read_description, read_metadata
from harness.dataset.pixel_cache import read_image
from harness.errors import DatasetError


def verify(root: Path) -> list[str]:
    """Read everything again and name what is changed, missing, extra or unreadable; an empty list is a good data set.

    Which image changed is known from the column PixelSha256 of metadata.csv; without it only that something changed.
    """
    try:
        described = read_description(root)
        rows = read_metadata(root, (described.label_low, described.label_high))
    except DatasetError as error:
        return [error.problem]
    found, problems = _read_all(root, rows, (described.width, described.height))
    problems += _extra(root, rows)
    if _digest(described, [HashedRecord(*row) for row in rows]) == described.digest:
        changed = [row.image_id for row in rows if found.get(row.image_id, row.pixel_sha256) != row.pixel_sha256]
        problems += [f"{IMAGES}/{image_id}.png: its pixels changed." for image_id in changed]
    elif len(found) < len(rows):
        problems.append(f"{METADATA}: whether it changed is unknown while images are missing.")
    elif _digest(described, [HashedRecord(*row[:3], found[row.image_id]) for row in rows]) != described.digest:
        problems.append(f"{METADATA} or images: ids, labels, targets or pixels are not those of the digest.")
    return problems


def _digest(described: Description, records: Sequence[HashedRecord]) -> str:
    return digest_of_hashes((described.label_low, described.label_high), (described.width, described.height), records)


def _read_all(root: Path, rows: Sequence[Row], size: tuple[int, int]) -> tuple[dict[str, str], list[str]]:
    """Digest of the pixels of each readable image, and what is wrong with the others."""

    def one(row: Row) -> tuple[str, str, str]:
        try:
            return row.image_id, pixel_sha256(read_image(root, row.image_id, size)), ""
        except DatasetError as error:
            return row.image_id, "", error.problem

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        read = list(threads.map(one, rows))
    return {image_id: sha256 for image_id, sha256, _ in read if sha256}, [problem for _, _, problem in read if problem]


def _extra(root: Path, rows: Sequence[Row]) -> list[str]:
    expected = {f"{row.image_id}.png" for row in rows}
    try:
        names = sorted(os.listdir(root / IMAGES))  # noqa: PTH208 - names are all that is needed
    except OSError as error:
        return [f"{root / IMAGES} cannot be read ({error.strerror})."]
    return [f"{IMAGES}/{name!a}: {METADATA} does not name it." for name in names if name not in expected]
