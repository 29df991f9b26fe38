"""Duels by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.scoring import CORRECT, LABELLED, TARGET, Duels, Entry
from harness.tracks import ATTACK, Access

_CODES = {".": LABELLED | CORRECT, "w": LABELLED, "t": LABELLED | TARGET, "r": TARGET}


def entry(name: str, kind: str = ATTACK.name, **facts: Any) -> Entry:
    """An attack of a duel."""
    return Entry(name, "team", kind, baseline=False, order=0, digest=name, **{"access": Access.WHITE_BOX, **facts})


def duels(attacks: Sequence[Entry], defenses: Sequence[str], *rows: str, access: Access = Access.WHITE_BOX, **parts: Any) -> Duels:
    """Duels from one text for each pair, in order: a letter for each image, ``closed`` for a pair that is not played.

    ``.`` labelled correctly, ``w`` wrongly, ``t`` as the target class, ``r`` rejected, ``n`` not labelled, ``-`` left out by the
    attack, ``!`` lost to a failure of the defense before it was decided, ``?`` of a duel that is not done. One batch.
    """
    images = max(len(row) for row in rows if row != "closed")
    given = np.array([list(row if row != "closed" else "?" * images) for row in rows]).reshape(len(attacks), len(defenses), images)
    closed = np.array([row == "closed" for row in rows]).reshape(len(attacks), len(defenses))
    known = given != "?"
    return Duels(**{
        "access": access, "attacks": tuple(attacks), "defenses": tuple(defenses), "open": ~closed, "done": known.any(-1)[..., None],
        "counted": known & (given != "!"), "produced": known & (given != "-"),
        "codes": np.select([given == letter for letter in _CODES], list(_CODES.values()), np.uint8(0)), **parts})
