"""Results cut to a part of their batches (those of one bound) or attacks, and what is read off the parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.scoring.entry import Track
from harness.scoring.results import Results
from harness.scoring.verdicts import Layout, Verdicts
from harness.tracks import Threat, consumes, detects


@dataclass(frozen=True, kw_only=True)
class Point:
    """A score at one bound, with its 95 % interval; each in [0, 1], None where there is none yet."""

    bound: int
    score: float | None
    low: float | None
    high: float | None


def on_batches(results: Results, chosen: NDArray[np.bool_]) -> Results:
    """The results on these batches (bool[B]) alone: as of a data set that has no other images."""
    images, scored = chosen[results.batch], results.detections
    return replace(
        results, truth=results.truth[images], target=results.target[images],
        batch=(np.cumsum(chosen) - 1)[results.batch[images]].astype(np.int32), produced=results.produced[:, images],
        verdicts=_of_images(results.verdicts, images), attack_done=results.attack_done[:, chosen],
        run_done=results.run_done[..., chosen], clean_codes=results.clean_codes[:, images],
        clean_done=results.clean_done[:, chosen],
        image_ids=tuple(np.array(results.image_ids, object)[images]) if results.image_ids else (),
        detections=None if scored is None else replace(
            scored, attacked=scored.attacked[..., images], clean=scored.clean[..., images], shown=scored.shown[:, images],
            done=scored.done[..., chosen]),
        duels=tuple(duels.on_batches(chosen, images) for duels in results.duels))


def of_threat(results: Results, threat: Threat) -> Results:
    """The results of the attacks of one threat alone: as of a round that has no others."""
    which, scored = np.array([entry.threat is threat for entry in results.attacks], np.bool_), results.detections
    attacks = tuple(entry for entry in results.attacks if entry.threat is threat)
    return replace(
        results, attacks=attacks, produced=results.produced[which], attack_done=results.attack_done[which],
        verdicts=replace(results.verdicts, planes=results.verdicts.planes[:, which]), run_done=results.run_done[which],
        duels=tuple(duels.of_threat(threat) for duels in results.duels),
        detections=None if scored is None else replace(
            scored, attacks=tuple(entry.name for entry in attacks), attacked=scored.attacked[:, which],
            clean=scored.clean[:, which], shown=scored.shown[which], done=scored.done[:, which]))


def _of_images(verdicts: Verdicts, images: NDArray[np.bool_]) -> Verdicts:
    """The verdicts of some images, without unpacking them: the bytes that hold any of theirs."""
    columns = verdicts.layout.columns[images]
    held = np.unique(columns // 8)
    kept = Layout(np.searchsorted(held, columns // 8) * 8 + columns % 8, len(held) + -len(held) % 8)
    planes = np.zeros((*verdicts.planes.shape[:-1], kept.width), np.uint8)
    planes[..., :len(held)] = verdicts.planes[..., held]
    # Images of other batches may share a byte; what is no image of a layout has to be 0.
    return Verdicts(kept, planes & kept.pack(np.ones(kept.images, np.bool_)))


def easier_at_larger(points: Sequence[Point], track: Track) -> tuple[int, int] | None:
    """Two bounds of which the larger one did less harm although their intervals do not meet; None where there are none.

    An attack that may change more should not fool less. Where it does, the attack stops working beyond its usual bound, or a
    defense's answers rest on what small changes look like. A larger change is easier to detect, so of a detector it says nothing.
    """
    if detects(track):
        return None
    for place, small in enumerate(points):
        for large in points[place + 1:]:
            below, above = (large, small) if not consumes(track) else (small, large)
            if below.high is not None and above.low is not None and below.high < above.low:
                return small.bound, large.bound
    return None


def fooled_by(results: Results, attack: int, image: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Of one attacked image, each bool[D]: which defenses have answered, did not label it correctly, took it for its target."""
    asked = results.run_done[attack, :, results.batch[image]] & results.produced[attack, image]
    column = results.verdicts.layout.columns[image]
    byte, bit = int(column) // 8, np.uint8(1 << (int(column) % 8))
    _, correct, target = ((plane & bit) > 0 for plane in results.verdicts.planes[:, attack, :, byte])
    return asked, asked & ~correct, asked & target
