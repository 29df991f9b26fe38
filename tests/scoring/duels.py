"""Duels by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.scoring import Duels, Entry
from harness.tracks import ATTACK, Access


def entry(name: str, kind: str = ATTACK.name, **facts: Any) -> Entry:
    """An attack of a duel."""
    return Entry(name, "team", kind, baseline=False, order=0, digest=name, **{"access": Access.WHITE_BOX, **facts})


def duels(attacks: Sequence[Entry], defenses: Sequence[str], *rows: str, access: Access = Access.WHITE_BOX, **parts: Any) -> Duels:
    """Duels from one text for each pair, in order: a letter for each image, ``closed`` for a pair that is not played.

    ``x`` fooled, ``.`` labelled correctly, ``w`` labelled wrongly but not as the target, ``r`` rejected, ``-`` left out by the
    attack, ``!`` lost to a failure of the defense before it was decided, ``?`` of a duel that is not done. One batch.
    """
    images = max(len(row) for row in rows if row != "closed")
    given = np.array([list(row if row != "closed" else "?" * images) for row in rows]).reshape(len(attacks), len(defenses), images)
    closed = np.array([row == "closed" for row in rows]).reshape(len(attacks), len(defenses))
    known = given != "?"
    return Duels(**{
        "access": access, "attacks": tuple(attacks), "defenses": tuple(defenses), "open": ~closed, "done": known.any(-1)[..., None],
        "counted": known & (given != "!"), "produced": known & (given != "-"), "success": given == "x", "correct": given == ".",
        "rejected": given == "r", **parts})
