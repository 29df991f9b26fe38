"""An untrusted ``scores.csv`` to a detector's scores; ``answer_csv`` says which rows count.

A score is a decimal number with an optional sign, fraction and exponent, surrounded by white space or not: higher means more likely
adversarial. ``nan``, ``inf``, ``1_0``, digits of other scripts and an empty field are none. It is kept as the nearest float32; one
beyond its range as the largest, or smallest, that is finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.formats.answer_csv import WHITE_SPACE, Kind, read_rows
from harness.formats.answers import Answers, Reading

_LARGEST = float(np.finfo(np.float32).max)
#: A number with more characters is none: no float64 needs so many, whatever is printed of it.
_MOST_CHARACTERS = 1100


def read_scores(data: bytes, names: Sequence[str | None]) -> Reading:
    """Scores of a batch from the bytes of ``scores.csv``: float32, NaN where none counts.

    Args:
        data: The whole file; of one that is too large none counts.
        names: The images of the batch, with or without extension; None for one that was not shown.
    """
    rows = read_rows(data, names, _SCORES)
    values = np.array([rows.answers.get(index, math.nan) for index in range(len(names))], np.float32)
    return Reading(Answers(values, ~np.isnan(values)), rows.refused, rows.notes)


def _score(text: str) -> float | None:
    number = text.strip(WHITE_SPACE)
    if len(number) > _MOST_CHARACTERS or not number.isascii() or "_" in number:
        return None
    try:
        value = float(number)
    except ValueError:
        return None
    # "1e999" is written as a number and read as an infinity; "inf" is written as none.
    if math.isnan(value) or (math.isinf(value) and not any(character.isdigit() for character in number)):
        return None
    return max(-_LARGEST, min(_LARGEST, value))


_SCORES = Kind("scores.csv", "score", "a finite number", _score)
