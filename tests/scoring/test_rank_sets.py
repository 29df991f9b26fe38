"""Rank sets against truths that are known, and where a bootstrap has nothing to say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks.rank_sets import cover, simulate
from harness.scoring.bootstrap import LEVEL, resampled_scores
from harness.scoring.rank_sets import rank_sets
from harness.scoring.ranking import ranks


def sets_of(earned: np.ndarray, possible: np.ndarray | None = None, resamples: int = 400) -> tuple[list[int], list[int]]:
    possible = np.ones_like(earned) if possible is None else possible
    scores = resampled_scores(earned, possible, resamples)
    total = possible.sum(1)
    point = np.where(total > 0, earned.sum(1) / np.maximum(total, 1), np.nan)
    low, high = rank_sets(scores, point, (possible > 0).sum(1), LEVEL)
    return low.tolist(), high.tolist()


@pytest.mark.parametrize(("entries", "step"), [(2, 0.0), (5, 0.0), (10, 0.0), (20, 0.0), (10, 0.02), (20, 0.1)])
def test_all_true_ranks_are_held_at_once(entries: int, step: float) -> None:
    found = cover(entries, step, images=200, data_sets=200, resamples=400)["rank sets"]
    assert found[1] >= 0.93


def test_distant_entries_have_one_rank_each() -> None:
    right, true = simulate(np.random.default_rng(4), 6, 0.5, 2000)
    assert sets_of(right) == (true.tolist(), true.tolist())


def brute_force(scores: np.ndarray, point: np.ndarray) -> tuple[list[int], list[int]]:
    """The formula pair by pair, each maximum over all resamples."""
    count = len(point)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    spread = {(i, j): np.std(scores[:, i] - scores[:, j], ddof=1) for i, j in pairs}
    better: set[tuple[int, int]] = set()
    while True:
        t = np.array([((scores[:, i] - scores[:, j]) - (point[i] - point[j])) / spread[i, j] for i, j in pairs])
        most = np.sort(np.maximum(t.max(0), 0))
        c = most[int(np.ceil(LEVEL * len(most))) - 1]
        new = {(i, j) for i, j in pairs if (point[i] - point[j]) / np.sqrt(
            spread[i, j]**2 + (point[i] - point[j])**2 / 300) > (1 + 1e-4) * c}
        if not new:
            break
        better |= new
        pairs = [pair for pair in pairs if pair not in new]
    wins, losses = ([sum(pair[side] == i for pair in better) for i in range(count)] for side in (0, 1))
    return [1 + lost for lost in losses], [count - won for won in wins]


@pytest.mark.parametrize("seed", range(8))
def test_they_are_those_of_the_formula_taken_pair_by_pair(seed: int) -> None:
    right, _ = simulate(np.random.default_rng(seed), 9, 0.12, 300)
    scores, point = resampled_scores(right, np.ones_like(right), 300, seed), right.mean(1)
    low, high = rank_sets(scores, point, np.full(9, 300), LEVEL)
    assert (low.tolist(), high.tolist()) == brute_force(scores, point)


HALF = (np.arange(100) < 50).astype(np.int64)
ODD = [
    ("one entry", HALF[None], [1], [1]),
    ("no entry", np.zeros((0, 100), np.int64), [], []),
    ("identical entries", np.stack([HALF] * 3), [1, 1, 1], [3, 3, 3]),
    ("a copy beside a better one", np.stack([HALF, HALF, np.ones(100, np.int64)]), [2, 2, 1], [3, 3, 1]),
    ("everything against nothing: no variance, and no doubt", np.array([[1] * 100, [0] * 100]), [1, 2], [1, 2]),
    ("the same on each of five images is too few", np.array([[1] * 5, [0] * 5]), [1, 1], [2, 2]),
    ("one image", np.array([[1], [0]]), [1, 1], [2, 2]),
]


@pytest.mark.parametrize(("earned", "low", "high"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
def test_odd_contests(earned: np.ndarray, low: list[int], high: list[int]) -> None:
    assert sets_of(earned) == (low, high)


def test_the_same_difference_in_every_resample() -> None:
    base = np.tile([3, 1, 2, 0], 30)
    assert sets_of(np.stack([base + 1, base]), np.full((2, 120), 10)) == ([1, 2], [1, 2])


def test_an_entry_without_a_score_stands_last_and_disturbs_nobody() -> None:
    right, _ = simulate(np.random.default_rng(5), 3, 1.0, 1000)
    possible = np.ones_like(right)
    possible[1] = 0
    assert sets_of(right * possible, possible) == ([1, 3, 2], [1, 3, 2])
    assert sets_of(right * 0, possible * 0) == ([1, 1, 1], [3, 3, 3])


def test_an_entry_with_a_few_images_so_far_is_told_apart_from_nobody() -> None:
    right, _ = simulate(np.random.default_rng(5), 3, 1.0, 1000)
    possible = np.ones_like(right)
    possible[0, 4:] = 0
    right[0, :4] = 1
    low, high = sets_of(right * possible, possible)
    assert (low[0], high[0]) == (1, 3)
    assert low[1] == 1


@settings(max_examples=60)
@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 40)), elements=st.integers(0, 1)))
def test_the_estimated_rank_and_all_its_equals_are_within(earned: np.ndarray) -> None:
    low, high = sets_of(earned, resamples=50)
    place = ranks(earned.mean(1))
    equals = (place[:, None] == place).sum(1)
    assert (np.array(low) <= place).all()
    assert (np.array(high) >= place + equals - 1).all()
