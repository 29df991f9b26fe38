"""An untrusted ``scores.csv`` to a detector's scores; ``answer_csv`` says which rows count.

A score is a decimal number with an optional sign, fraction and exponent, surrounded by white space or not: higher means more likely
adversarial. ``nan``, ``inf``, ``1_0``, digits of other scripts and an empty field are not. It is kept as the nearest float32; one
beyond its range as the largest, or smallest, that is finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.formats.answer_csv import Kind, parse_number, read_rows
from harness.formats.answers import Answers, Reading


def read_scores(data: bytes, names: Sequence[str | None]) -> Reading:
    """Scores of a batch from the bytes of ``scores.csv``: float32, NaN where none counts.

    Args:
        data: The whole file; of one that is too large none counts.
        names: The images of the batch, with or without extension; None for one that was not shown.
    """
    rows = read_rows(data, names, _SCORES)
    values = np.array([rows.answers.get(index, math.nan) for index in range(len(names))], np.float32)
    return Reading(Answers(values, ~np.isnan(values)), rows.refused, rows.notes)


_SCORES = Kind("scores.csv", "score", "a finite number", parse_number)
