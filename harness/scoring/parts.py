"""Results cut to a part of their batches (those of one epsilon), and what is read off the parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.scoring.results import Results, Track
from harness.tracks import consumes


@dataclass(frozen=True, kw_only=True)
class Point:
    """A score at one epsilon, with its 95 % interval; each in [0, 1], None where there is none yet."""

    epsilon: int
    score: float | None
    low: float | None
    high: float | None


def on_batches(results: Results, batches: NDArray[np.bool_]) -> Results:
    """The same results as if only the runs on these batches (bool[B]) had ended: every formula then counts their images alone."""
    scored = results.detections
    return replace(
        results, attack_done=results.attack_done & batches, run_done=results.run_done & batches,
        clean_done=results.clean_done & batches,
        detections=None if scored is None else replace(scored, done=scored.done & batches))


def easier_at_larger(points: Sequence[Point], track: Track) -> tuple[int, int] | None:
    """Two epsilons of which the larger one did less harm although their intervals do not meet; None where there are none.

    An attack that may change more should not fool less. Where it does, the attack stops working beyond its usual epsilon, or a
    defense's answers rest on what small changes look like.
    """
    for place, small in enumerate(points):
        for large in points[place + 1:]:
            below, above = (large, small) if not consumes(track) else (small, large)
            if below.high is not None and above.low is not None and below.high < above.low:
                return small.epsilon, large.epsilon
    return None


def fooled_by(results: Results, attack: int, image: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Of one attacked image, each bool[D]: which defenses have answered, did not label it correctly, took it for its target."""
    asked = results.run_done[attack, :, results.batch[image]] & results.produced[attack, image]
    column = results.verdicts.layout.columns[image]
    byte, bit = int(column) // 8, np.uint8(1 << (int(column) % 8))
    _, correct, target = ((plane & bit) > 0 for plane in results.verdicts.planes[:, attack, :, byte])
    return asked, asked & ~correct, asked & target
