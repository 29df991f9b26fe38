"""What scoring is given: every verdict of a tournament as arrays, and the entries that they belong to.

Three bits per (attack, defense, image) say all that any score view asks, so that a 2017-size final (162 x 110 x 5,000)
is 35 MB and scoring knows no labels, no files and no database. A tournament that is still running is an ordinary value:
``attack_done`` and ``run_done`` say which runs have ended, and images of the others count for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.scoring.detections import Detections
from harness.scoring.duels import Duels
from harness.scoring.entry import Entry
from harness.scoring.verdicts import Verdicts


@dataclass(frozen=True)
class RunCounts:
    """Runs of the tournament: ended, planned, and ended without a usable output."""

    done: int = 0
    total: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Results:
    """A tournament's verdicts. A attacks of both tracks, D defenses, N images, B batches.

    Attributes:
        attacks: Both attack tracks, in submission order.
        defenses: In submission order.
        truth: int32[N], true labels.
        target: int32[N], target classes.
        batch: int32[N], the batch of each image, 0..B-1.
        produced: bool[A, N], whether the attack left an image.
        verdicts: Of A x D x N. What lies at images that were not produced, or whose run has not ended, is ignored.
        attack_done: bool[A, B], whether the attack's run has ended.
        run_done: bool[A, D, B], whether the verdict is final: the attack's run has ended, and the defense's run on what
            it left has ended too, or is not needed because nothing was left.
        clean_codes: uint8[D, N], ``LABELLED | CORRECT | TARGET`` of the clean images.
        clean_done: bool[D, B].
        image_ids: N names for exports, or none.
        detectors: In submission order; they are no opponents of attacks, and no ``defenses``.
        detections: Scores of the detectors; None where the round has none.
        max_clean_rejections: The share of the clean images that a defense may reject for its rejections of adversarial ones to
            count as correct; None where defenses may not reject, and no verdict is a rejection then.
        duels: Of each access that the round allows; their attacks are none of ``attacks``, who meet all defenses alike.
    """

    attacks: tuple[Entry, ...]
    defenses: tuple[Entry, ...]
    truth: NDArray[np.int32]
    target: NDArray[np.int32]
    batch: NDArray[np.int32]
    produced: NDArray[np.bool_]
    verdicts: Verdicts
    attack_done: NDArray[np.bool_]
    run_done: NDArray[np.bool_]
    clean_codes: NDArray[np.uint8]
    clean_done: NDArray[np.bool_]
    tournament: str = ""
    round: str = ""
    runs: RunCounts = field(default_factory=RunCounts)
    image_ids: tuple[str, ...] = ()
    detectors: tuple[Entry, ...] = ()
    detections: Detections | None = None
    max_clean_rejections: float | None = None
    duels: tuple[Duels, ...] = ()

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together: a silent broadcast would be a silent wrong score."""
        attacks, defenses, images = len(self.attacks), len(self.defenses), len(self.truth)
        batches = self.attack_done.shape[1]
        expected: dict[str, tuple[int, ...]] = {
            "target": (images,), "batch": (images,), "produced": (attacks, images),
            "verdicts": (attacks, defenses, images),
            "attack_done": (attacks, batches), "run_done": (attacks, defenses, batches),
            "clean_codes": (defenses, images), "clean_done": (defenses, batches),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                message = f"{name} has shape {getattr(self, name).shape}, expected {shape}"
                raise ValueError(message)
        for name, dtype in (("produced", np.bool_), ("attack_done", np.bool_),
                            ("run_done", np.bool_), ("clean_codes", np.uint8), ("clean_done", np.bool_)):
            if getattr(self, name).dtype != dtype:
                message = f"{name} is {getattr(self, name).dtype}, expected {np.dtype(dtype)}"
                raise ValueError(message)
        self._check_detections()
        self._check_duels()

    def _check_detections(self) -> None:
        scored = self.detections
        names = tuple(entry.name for entry in self.detectors)
        if (() if scored is None else scored.detectors) != names:
            message = f"scores of the detectors {scored and scored.detectors}, expected {names}"
            raise ValueError(message)
        if scored is None:
            return
        if scored.attacks != (attacks := tuple(entry.name for entry in self.attacks)):
            message = f"detectors were shown the attacks {scored.attacks}, expected {attacks}"
            raise ValueError(message)
        if scored.shown.shape != self.produced.shape or scored.done.shape[1:] != self.attack_done.shape:
            message = f"detectors have {scored.shown.shape} images and {scored.done.shape[1:]} batches"
            raise ValueError(message)

    def _check_duels(self) -> None:
        names = tuple(entry.name for entry in self.defenses)
        for duels in self.duels:
            if duels.defenses != names:
                message = f"the duels of the access {duels.access} are with {duels.defenses}, expected {names}"
                raise ValueError(message)
            if (sizes := (duels.done.shape[-1], duels.counted.shape[-1])) != (self.attack_done.shape[1], self.images):
                message = f"the duels of the access {duels.access} have {sizes[0]} batches and {sizes[1]} images"
                raise ValueError(message)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All who take part: attacks of all accesses, defenses, detectors."""
        return (*self.attacks, *(entry for duels in self.duels for entry in duels.attacks), *self.defenses, *self.detectors)

    @property
    def images(self) -> int:
        """Clean images in the tournament's data set."""
        return len(self.truth)


def complete(
    attacks: tuple[Entry, ...], defenses: tuple[Entry, ...], *,
    truth: NDArray[np.int32], target: NDArray[np.int32],
    produced: NDArray[np.bool_], codes: NDArray[np.uint8], clean_codes: NDArray[np.uint8],
    batch: NDArray[np.int32] | None = None,
) -> Results:
    """Results of a tournament in which every run has ended."""
    where = np.zeros(len(truth), np.int32) if batch is None else batch
    batches = int(where.max()) + 1 if len(where) else 1
    return Results(
        attacks, defenses, truth, target, where, produced, Verdicts.of(codes),
        np.ones((len(attacks), batches), np.bool_), np.ones((len(attacks), len(defenses), batches), np.bool_),
        clean_codes, np.ones((len(defenses), batches), np.bool_),
    )
