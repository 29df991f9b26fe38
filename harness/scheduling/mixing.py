"""Mixed batches: each holds images of many attacks, so that a batch says nothing of the attack that made it.

2017's defenses were run on batches that one attack had made, and could use that (batch statistics, one verdict for all). Here
the adversarial images of a batch are reassigned by a Latin square: of K distinct inputs (one of them the clean images) K mixed
inputs are made, each image position going once through all of them (with a random offset per position). Scores are per image,
so they stay comparable. The assignment follows from the digests alone: the same inputs give the same mixed batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from harness.scheduling.board import NO_INPUT, PlannedInput

NOBODY = -1


@dataclass(frozen=True)
class Mix:
    """One mixed input.

    Attributes:
        parts: int32 [n], which of the sources each image is taken from, ``NOBODY`` where that source has none.
        digest: Of the composition (hex).
    """

    parts: NDArray[np.int32]
    digest: str


def mix(digests: Sequence[str], produced: Sequence[NDArray[np.bool_]]) -> list[Mix]:
    """Deal the images of K inputs into K mixed inputs.

    Args:
        digests: Pixel digests of the distinct inputs of one batch.
        produced: For each of them bool [n], which images it holds.
    """
    count, images = len(digests), len(produced[0])
    seed = hashlib.sha256("\n".join(sorted(digests)).encode()).digest()
    generator = default_rng(list(seed))
    order = np.argsort(np.array(digests))[generator.permutation(count)]
    offsets = generator.integers(0, count, images)
    held = np.stack(list(produced))
    mixes = []
    for number in range(count):
        parts = order[(number + offsets) % count].astype(np.int32)
        parts[~held[parts, np.arange(images)]] = NOBODY
        text = "mixed\n" + "\n".join("-" if part == NOBODY else digests[part] for part in parts.tolist())
        mixes.append(Mix(parts, hashlib.sha256(text.encode()).hexdigest()))
    return mixes


def mixed_inputs(inputs: Sequence[PlannedInput], sources: Sequence[int],
                 batch: int) -> list[tuple[PlannedInput, NDArray[np.int32]]]:
    """The mixed inputs of a batch (without an id yet), each with the store's ids of its parts (0 for none)."""
    stored = np.array([inputs[source].stored_id for source in sources] + [0], np.int32)
    boarded = np.array([*sources, NO_INPUT], np.int32)
    return [(PlannedInput(batch, made.digest, 0, made.parts >= 0, boarded[made.parts]), stored[made.parts])
            for made in mix([inputs[source].digest for source in sources], [inputs[source].produced for source in sources])]
