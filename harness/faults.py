"""Named points at which a test kills the harness as ``kill -9`` would; without the environment variable they do nothing.

``HARNESS_TEST_KILL_AT=point:N`` kills this process when it reaches the point for the N-th time. The points are where a kill could
leave two things that disagree: a file and its name, a row and another, a program and its record. Random kills alone would hit the
few microseconds between two such steps once in a thousand times.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator

#: Where the harness may be killed, in the order of a run.
POINTS = (
    "swept",  # leftovers of the last harness are removed, nothing has begun
    "prepared",  # an input lies in the work directory
    "asked",  # in a duel by queries, rows are charged and answered, and the attack has not heard of it
    "performed",  # a program has ended, its output is not read
    "artifact-written",  # the temporary file is complete and has no name yet
    "artifact-named",
    "collected",  # the output is read and stored, nobody knows yet
    "before-commit",  # items are taken from the queue
    "in-commit",  # written, not committed
    "after-commit",
    "ending",  # everything has run, the recorder is closed
)

_POINT, _, _TIMES = os.environ.get("HARNESS_TEST_KILL_AT", "").partition(":")
_COUNT: Iterator[int] = itertools.count(1)


def reach(point: str) -> None:
    """Say that a point is reached."""
    if _POINT and point == _POINT and next(_COUNT) == int(_TIMES or 1):
        os.kill(os.getpid(), signal.SIGKILL)
