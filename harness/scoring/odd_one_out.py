"""Whether one answer of several is unlike the others, and what it proves when that happens again and again.

A program without memory, random or not, gives answers to one input of which any may be the odd one. The chance that this is the
served one, out of ``RUNS`` answers, is therefore 1 in ``RUNS`` at most, whatever the program computes and however it draws its
random numbers. Nothing else is assumed. A random answer does not change that, so it hides nothing: it is one image's vote.

What a row of runs proves is reckoned as a bet (Ville 1939): at every run a gambler stakes a share of what he has, at ten to one, on
the served answer being the odd one. Against a program without memory the game is fair or worse, so he multiplies his money by
1 / ``LEVEL`` with a probability of at most ``LEVEL``, however long he plays and however often he looks. That is why an audit may
look after each call, add runs for a suspect, and stop when it likes. A test that is valid for one look only would save about a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Of a thousand programs without memory at most one is marked in the whole life of a contest.
LEVEL = 0.001
#: Answers that are compared: the served one and nine fresh ones. With three, seven runs would be needed where four do with ten, and
#: there are no more runs of an attack than batches.
RUNS = 10
#: Runs that prove something where the served answer is the odd one in all of them.
FEWEST = 4

#: Parts of the largest distance of scores that are told apart.
_PARTS = 1 << 32
#: Shares that are staked, each by a gambler of its own with an equal part of the money: nobody knows which is best.
_SHARES = np.arange(1, 100) / 100


def is_odd(distances: NDArray[np.int64]) -> bool:
    """Whether more images set the first answer apart from the others than set any other one apart.

    Args:
        distances: int64[k, k, n], how far each two answers are apart, image by image. An image sets apart those that are farthest
            from the others, all of them where several are: a fresh answer that is random there shall not undo the image's vote.
            How much farther does not matter, or one image could hide many.
    """
    sums = distances.sum(axis=1)
    votes = (sums == sums.max(axis=0)).sum(axis=1)
    return bool(votes[0] > votes[1:].max())


def label_distances(answers: Sequence[NDArray[np.int16]]) -> NDArray[np.int64]:
    """1 where two answers give an image different labels, int64[k, k, n]."""
    stacked = np.stack(answers)
    distances: NDArray[np.int64] = (stacked[:, None] != stacked[None]).astype(np.int64)
    return distances


def score_distances(answers: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
    """How far the scores of each two answers are apart, int64[k, k, n]: in parts of an image's largest distance, so sums are exact.

    No score (NaN) is farther from any score than they are from each other.
    """
    stacked = np.stack(answers).astype(np.float64)
    apart = np.abs(stacked[:, None] - stacked[None])
    largest = np.nanmax(apart, axis=(0, 1), initial=0.0)
    parts = np.rint(np.nan_to_num(apart / np.where(largest > 0, largest, 1.0)) * _PARTS).astype(np.int64)
    none = np.isnan(stacked)
    distances: NDArray[np.int64] = np.where(none[:, None] != none[None], 2 * _PARTS, parts)
    return distances


def log_evidence(odd: int, runs: int) -> float:
    """Natural logarithm of what the stake has become after so many runs, of which so many had the served answer as the odd one."""
    won = odd * np.log1p(_SHARES * (RUNS - 1))
    lost = (runs - odd) * np.log1p(-_SHARES)
    return float(np.logaddexp.reduce(won + lost)) - math.log(len(_SHARES))


def proves_memory(odd: int, runs: int) -> bool:
    """Whether a program without memory comes to this with a probability of at most ``LEVEL``."""
    return log_evidence(odd, runs) >= -math.log(LEVEL)
