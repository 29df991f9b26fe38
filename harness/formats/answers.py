"""What a consumer answered about a batch: one value from the reader of its file to the store, whatever the track asks for.

A reader is a pure function from bytes to answers, and a track's row names it (``Track.reader``): what an answer is, and how "none"
is written down, is known to that function and to the track's scores, and to nothing between them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Answers:
    """One answer for each image of a batch.

    Attributes:
        values: [n] in the batch's order, as answered; their type, and what stands where there is none, are the track's own.
        given: bool [n], which images have an answer that counts.
    """

    values: NDArray[Any]
    given: NDArray[np.bool_]

    def stored(self) -> bytes:
        """As they lie in the store."""
        return self.values.tobytes()


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader found in a file.

    Attributes:
        refused: Position of an image in the batch -> why what was there for it does not count.
        notes: Sentences about what was ignored, a bounded number.
    """

    answers: Answers
    refused: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


class AnswerReader(Protocol):
    """Untrusted bytes to answers; never raises for what the bytes hold."""

    def __call__(self, data: bytes, names: Sequence[str | None]) -> Reading:
        """Read a file.

        Args:
            data: The whole file; empty where there is none that can be read.
            names: The images of the batch in order, each as the program found it named; None where it was not shown.
        """


@lru_cache
def reader_named(name: str) -> AnswerReader:
    """The reader that a track's row names, as ``module:function``."""
    return cast("AnswerReader", pkgutil.resolve_name(name))
