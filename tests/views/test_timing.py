from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.views.timing import RunTimes, active_s, busy_share, overhead_s, spent


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12))
def test_active_time_is_the_seconds_in_which_anything_ran(intervals: list[tuple[int, int]]) -> None:
    began = np.array([start for start, _ in intervals], float)
    ended = np.array([start + length for start, length in intervals], float)
    seconds = {second for start, length in intervals for second in range(start, start + length)}
    assert active_s(began, ended) == len(seconds)


def times(**more) -> RunTimes:
    nothing = np.full(4, np.nan)
    # Two slots, two runs each, 100 s between the first pair and the second.
    values: dict[str, Any] = {"began": np.array([0.0, 0.0, 100.0, 100.0]), "waited": np.zeros(4), "start": np.full(4, 1.0),
              "compute": np.array([9.0, 9.0, 9.0, 4.0]), "prepare": nothing, "collect": nothing, "slots": ("a", "b", "a", "b")}
    return RunTimes(**values | more)


def test_a_pause_between_two_runs_of_the_harness_is_not_idle_time() -> None:
    assert busy_share(times()) == pytest.approx(35 / 40)


def test_stages_that_nothing_measured_are_left_out() -> None:
    assert spent(times()) == {"start": 4.0, "compute": 31.0, "wait for a slot": 0.0}
    measured = times(prepare=np.full(4, 0.5), collect=np.array([1.0, 2.0, np.nan, 0.0]), waited=np.full(4, 2.0))
    assert spent(measured) == {"start": 4.0, "compute": 31.0, "lay out": 2.0, "read back and enforce": 3.0, "wait for a slot": 8.0}


def test_overhead_is_what_slots_did_beside_computing() -> None:
    # Two stretches of 10 s on two slots, in which programs computed for 31 s.
    assert overhead_s(times()) == pytest.approx((40 - 31) / 4)


def test_nothing_ran() -> None:
    empty = np.zeros(0)
    assert busy_share(RunTimes(empty, empty, empty, empty, empty, empty)) is None
    assert overhead_s(RunTimes(empty, empty, empty, empty, empty, empty)) is None
