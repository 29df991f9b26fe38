"""Rounds with detectors, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from harness.scoring import CORRECT, LABELLED, Detections, Entry, Results, complete

#: Attacked and clean scores, each [A, N].
Sides = tuple[np.ndarray, np.ndarray]


def contest(
    scores: Mapping[str, Sides], *, shown: np.ndarray | None = None, done: np.ndarray | None = None,
    batch: np.ndarray | None = None, wrong: np.ndarray | None = None,
) -> Results:
    """A round in which everything has ended but what ``done`` says.

    Args:
        scores: By detector, NaN where it gave none.
        shown: bool[A, N], the changed images; all by default.
        done: bool[T, A, B].
        batch: int[N].
        wrong: bool[A, D, N], where defenses err; a round without defenses by default.
    """
    attacked, clean = (np.stack([sides[side] for sides in scores.values()]).astype(np.float32) for side in (0, 1))
    _, attacks, images = attacked.shape
    where = np.zeros(images, np.int32) if batch is None else batch.astype(np.int32)
    changed = np.ones((attacks, images), bool) if shown is None else shown
    mistakes = np.zeros((attacks, 0, images), bool) if wrong is None else wrong
    defenses = mistakes.shape[1]
    names = tuple(f"attack{place}" for place in range(attacks))
    results = complete(
        tuple(Entry(name, "", "attack", False, place, "d") for place, name in enumerate(names)),
        tuple(Entry(f"defense{place}", "", "defense", False, attacks + place, "d") for place in range(defenses)),
        truth=np.zeros(images, np.int32), target=np.ones(images, np.int32), produced=np.ones((attacks, images), bool), batch=where,
        codes=np.where(mistakes, LABELLED, LABELLED | CORRECT).astype(np.uint8),
        clean_codes=np.full((defenses, images), LABELLED | CORRECT, np.uint8))
    ended = np.ones((len(scores), *results.attack_done.shape), bool) if done is None else done
    return replace(
        results, tournament="made", round="main", image_ids=tuple(f"i{place:04}" for place in range(images)),
        detectors=tuple(Entry(name, f"team of {name}", "detector", False, 100 + place, "d", 1.0)
                        for place, name in enumerate(scores)),
        detections=Detections(
            names, tuple(scores), np.where(np.isnan(attacked), np.float32(-np.inf), attacked),
            np.where(np.isnan(clean), np.float32(np.inf), clean), changed, ended))


def random(generator: np.random.Generator, attacks: int, images: int, shift: float = 0.7) -> Sides:
    """Images have something of their own, on both sides."""
    base = generator.normal(size=images)
    return base + generator.normal(shift, 1, (attacks, images)), base + generator.normal(0, 1, (attacks, images))
