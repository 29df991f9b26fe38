"""The data set on disk, and the batches that a tournament splits it into.

``load`` refuses a data set whose labels, targets or pixels are not those of its digest: what runs is what was agreed on.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.dataset.digest import HashedRecord, digest_of_hashes
from harness.dataset.files import read_description, read_metadata
from harness.dataset.pixel_cache import load_pixels, remember
from harness.errors import ConfigError, DatasetError
from harness.formats.threats import largest_bound
from harness.tracks import Threat

#: Threat -> its bounds, at least one each.
Bounds = Mapping[Threat, Sequence[int]]


@dataclass(frozen=True, eq=False, kw_only=True)
class UnlabelledBatch:
    """At most ``batch_size`` clean images with one bound: all of a batch that whoever runs programs needs.

    Attributes:
        index: Position among the batches.
        ids: The images, sorted.
        targets: Target classes, int32[n].
        bound: Of the threat, a whole number.
        clean_digest: Of the clean pixels in order (hex); the same whatever the bound and the targets.
        task_digest: Of all that an attack is given: clean pixels, bound, target classes (hex).
        threat: What an attack may change.
    """

    index: int
    ids: tuple[str, ...]
    targets: NDArray[np.int32]
    bound: int
    clean_digest: str
    task_digest: str
    threat: Threat = Threat.LINF


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch(UnlabelledBatch):
    """A batch with its true labels, which only scores are made of.

    Attributes:
        labels: True labels, int32[n].
        others: Threats beside its own -> the bound, and the digest of the task.
    """

    labels: NDArray[np.int32]
    others: Mapping[Threat, tuple[int, str]] = field(default_factory=dict)

    @property
    def threats(self) -> tuple[Threat, ...]:
        """All threats under which attacks are given it, its own first."""
        return (self.threat, *self.others)

    def under(self, threat: Threat) -> Batch:
        """The same batch as an attack of this threat is given it."""
        if threat is self.threat:
            return self
        bound, task_digest = self.others[threat]
        return replace(self, threat=threat, bound=bound, task_digest=task_digest, others={})

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

    def batches(self, batch_size: int, bounds: Bounds | Sequence[int]) -> tuple[Batch, ...]:
        """The images in order of their ids, ``batch_size`` at a time; under each threat batch k has ``bounds[k mod len]``.

        Args:
            batch_size: Most images of one batch.
            bounds: Threat -> its bounds; a sequence alone is of L-infinity bounds.

        Raises:
            ConfigError: A bound is larger than images of this size can reach.
        """
        known: Bounds = bounds if isinstance(bounds, Mapping) else {Threat.LINF: bounds}
        for threat, each in known.items():
            if max(each) > (largest := largest_bound(threat, self.size)):
                images = "images of {}x{} pixels".format(*self.size)
                raise ConfigError(f"rules.threats.{threat}: {max(each)} is more than {images} can change by.",
                                  f"Write at most {largest}, or take the threat `unrestricted`.")
        starts = range(0, len(self.ids), batch_size)
        return tuple(
            self._batch(index, slice(start, start + batch_size),
                        {threat: each[index % len(each)] for threat, each in known.items()})
            for index, start in enumerate(starts)
        )

    def pixels(self, batch: UnlabelledBatch) -> NDArray[np.uint8]:
        """Clean images of a batch: uint8[n, h, w, 3], a read-only view; nothing is decoded here."""
        start = bisect.bisect_left(self.ids, batch.ids[0])
        return self._pixels[start : start + len(batch.ids)]

    def _batch(self, index: int, part: slice, bounds: Mapping[Threat, int]) -> Batch:
        labels, targets = self.labels[part], self.targets[part]
        clean = clean_digest(self.size, self._image_digests[part])
        (threat, bound), *others = bounds.items()
        return Batch(index=index, ids=self.ids[part], labels=labels, targets=targets, bound=bound, threat=threat,
                     clean_digest=clean, task_digest=_task_digest(clean, threat, bound, targets),
                     others={each: (at, _task_digest(clean, each, at, targets)) for each, at in others})


def clean_digest(size: tuple[int, int], image_digests: Sequence[str]) -> str:
    """The digest of clean images of one (width, height), in order, by the SHA-256 (hex) of each one's pixels."""
    return hashlib.sha256("\n".join((f"clean {size[0]}x{size[1]}", *image_digests)).encode()).hexdigest()


def _task_digest(clean: str, threat: Threat, bound: int, targets: NDArray[np.int32]) -> str:
    # Version 0.1.0 knew no threat: what was made under L-infinity bounds then counts now.
    what = str(bound) if threat is Threat.LINF else f"{threat} {bound}"
    task = hashlib.sha256(f"task {clean} {what}\n".encode())
    task.update(",".join(str(target) for target in targets.tolist()).encode())
    return task.hexdigest()


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
