"""The data set on disk, and the batches that a tournament cuts it into.

``load`` refuses a data set whose labels, targets or pixels are not those of its digest: what runs is what was agreed on.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.dataset.digest import HashedRecord, digest_of_hashes
from harness.dataset.files import read_description, read_metadata
from harness.dataset.pixel_cache import load_pixels, remember
from harness.errors import DatasetError


@dataclass(frozen=True, eq=False, kw_only=True)
class UnlabelledBatch:
    """At most ``batch_size`` clean images with one epsilon: all of a batch that whoever runs programs needs.

    Attributes:
        index: Position among the batches.
        ids: The images, sorted.
        targets: Target classes, int32[n].
        epsilon: L-infinity bound, 0..255.
        clean_digest: Of the clean pixels in order (hex); the same whatever the epsilon and the targets.
        task_digest: Of all that an attack is given: clean pixels, epsilon, target classes (hex).
    """

    index: int
    ids: tuple[str, ...]
    targets: NDArray[np.int32]
    epsilon: int
    clean_digest: str
    task_digest: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch(UnlabelledBatch):
    """A batch with its true labels, which only scores are made of.

    Attributes:
        labels: True labels, int32[n].
    """

    labels: NDArray[np.int32]

    def unlabelled(self) -> UnlabelledBatch:
        """The same without true labels."""
        return UnlabelledBatch(**{field.name: getattr(self, field.name) for field in fields(UnlabelledBatch)})


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set whose digest was checked.

    Attributes:
        root: Its directory.
        name: From ``dataset.yaml``.
        ids: Image ids, sorted; N of them.
        labels: True labels, int32[N].
        targets: Target classes, int32[N].
        label_range: Lowest and highest label, both included.
        size: Width and height in pixels.
        classes: Names of the labels from the lowest on, or empty.
        digest: Of labels, targets and pixels (hex).
    """

    root: Path
    name: str
    ids: tuple[str, ...]
    labels: NDArray[np.int32]
    targets: NDArray[np.int32]
    label_range: tuple[int, int]
    size: tuple[int, int]
    classes: tuple[str, ...]
    digest: str
    _pixels: NDArray[np.uint8] = field(repr=False)
    _image_digests: tuple[str, ...] = field(repr=False)

    def batches(self, batch_size: int, epsilons: Sequence[int]) -> tuple[Batch, ...]:
        """The images in order of their ids, ``batch_size`` at a time; batch k has epsilon ``epsilons[k mod len]``."""
        starts = range(0, len(self.ids), batch_size)
        return tuple(
            self._batch(index, slice(start, start + batch_size), epsilons[index % len(epsilons)])
            for index, start in enumerate(starts)
        )

    def pixels(self, batch: UnlabelledBatch) -> NDArray[np.uint8]:
        """Clean images of a batch: uint8[n, h, w, 3], a read-only view; nothing is decoded here."""
        start = bisect.bisect_left(self.ids, batch.ids[0])
        return self._pixels[start : start + len(batch.ids)]

    def _batch(self, index: int, part: slice, epsilon: int) -> Batch:
        labels, targets = self.labels[part], self.targets[part]
        clean = clean_digest(self.size, self._image_digests[part])
        task = hashlib.sha256(f"task {clean} {epsilon}\n".encode())
        task.update(",".join(str(target) for target in targets.tolist()).encode())
        return Batch(index=index, ids=self.ids[part], labels=labels, targets=targets, epsilon=epsilon,
                     clean_digest=clean, task_digest=task.hexdigest())


def clean_digest(size: tuple[int, int], image_digests: Sequence[str]) -> str:
    """The digest of clean images of one (width, height), in order, by the SHA-256 (hex) of each one's pixels."""
    return hashlib.sha256("\n".join((f"clean {size[0]}x{size[1]}", *image_digests)).encode()).hexdigest()


def load(root: Path) -> Dataset:
    """The data set in a directory.

    Raises:
        DatasetError: It is missing or malformed, or does not match its digest.
    """
    described = read_description(root)
    label_range = (described.label_low, described.label_high)
    size = (described.width, described.height)
    rows = read_metadata(root, label_range)
    ids = tuple(row.image_id for row in rows)
    store = load_pixels(root, ids, size)
    if store.checked != described.digest:
        hashed = (HashedRecord(*row[:3], sha256) for row, sha256 in zip(rows, store.digests, strict=True))
        if digest_of_hashes(label_range, size, hashed) != described.digest:
            problem = f"The data set {root} does not match the digest in its dataset.yaml."
            raise DatasetError(problem, f"Run `harness dataset verify {root}` to see what changed, or build it again.")
        remember(root, ids, store, described.digest)
    return Dataset(
        root=root,
        name=described.name,
        ids=ids,
        labels=np.array([row.label for row in rows], np.int32),
        targets=np.array([row.target for row in rows], np.int32),
        label_range=label_range,
        size=size,
        classes=described.classes,
        digest=described.digest,
        # A view of the base class: numpy's class for mapped files should not spread through the arithmetic.
        _pixels=np.asarray(store.pixels),
        _image_digests=store.digests,
    )
