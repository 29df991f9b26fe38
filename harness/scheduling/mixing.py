"""Inputs put together from others: mixed batches for defenses, halves for detectors.

Mixed batches: each has images of many attacks, so that a batch reveals nothing about the attack that made it.

2017's defenses were run on batches that one attack had made, and could use that (batch statistics, one verdict for all). Here
the adversarial images of a batch are reassigned by a Latin square: of K distinct inputs (one of them the clean images) K mixed
inputs are made, each image position going once through all of them (with a random offset per position). Scores are per image,
so they stay comparable. The assignment follows from the digests alone: the same inputs give the same mixed batches.

Halves: a batch that is all clean or all adversarial would give itself away to a detector. Each image that an attack changed is
shown once attacked and once clean, in two inputs; which one shows which is decided by a secret of the database, so nobody who
knows the batch can know it. The same secret gives the same halves again.
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
    """Distribute the images of K inputs over K mixed inputs.

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


def halves(inputs: Sequence[PlannedInput], source: int, ids: Sequence[str],
           secret: int) -> list[tuple[PlannedInput, NDArray[np.int32]]]:
    """The two halves of what an attack made (without an id yet); none where it changed no image.

    Args:
        inputs: The board's.
        source: The index of what the attack made.
        ids: The images of its batch.
        secret: Of this database.

    Returns:
        Each half with, for each image, the store's id of what the attack made, negative where the clean image is shown, 0 where
        neither is.
    """
    made, clean = inputs[source], inputs[inputs[source].batch]
    if made.changed is None or not (shown := made.produced & made.changed).any():
        return []
    attacked = np.array([_bit(secret, made.digest, image) for image in ids], bool)
    found = []
    for here in (shown & attacked, shown & ~attacked):
        sides = np.where(here, 1, np.where(shown, -1, 0)).astype(np.int32)
        parts = np.array([made.batch, NO_INPUT, source], np.int32)[sides + 1]
        text = f"half\n{clean.digest}\n{made.digest}\n{sides.tolist()}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        found.append((PlannedInput(made.batch, digest, 0, shown, parts, half_of=source), sides * np.int32(made.stored_id)))
    return found


def _bit(secret: int, digest: str, image: str) -> int:
    return hashlib.blake2b(f"{digest}\n{image}".encode(), key=secret.to_bytes(8, "big"), digest_size=1).digest()[0] & 1
