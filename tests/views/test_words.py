from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.views import words


@pytest.mark.parametrize(("seconds", "text"), [
    (0.4, "0 s"), (8, "8 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (273_600, "3 d 4 h"),
    (-1, "0 s"), (None, "unknown"),
])
def test_duration(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(("share", "text"), [
    (0.0, "0%"), (0.001, "1%"), (0.5, "50%"), (0.9999, "99%"), (1.0, "100%"), (None, "-"),
])
def test_all_and_nothing_are_said_of_nothing_else(share: float | None, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(("low", "high", "text"), [(0.5, 0.75, ".500-.750"), (0.0, 1.0, ".000-1.00"), (None, None, "-")])
def test_span(low: float | None, high: float | None, text: str) -> None:
    assert words.span(low, high) == text


def test_sizes_and_counts() -> None:
    assert [words.size(value) for value in (12, 2048, 5 << 20, 300 << 20, 3 << 30)] == [
        "12 B", "2 KiB", "5.0 MiB", "300 MiB", "3.0 GiB"]
    assert words.counts({"time_limit": 2, "ok": 5, "bad_output": 3, "cancelled": 0}) == "ok=5 bad_output=3 time_limit=2"
    assert (words.plural(1, "run"), words.plural(1000, "run")) == ("1 run", "1,000 runs")


@given(st.text(max_size=40), st.integers(0, 50))
def test_a_shortened_name_fits_and_keeps_both_ends(name: str, width: int) -> None:
    short = words.shorten(name, width)
    assert len(short) <= width or len(name) <= width
    if 4 < width < len(name):
        assert short[0] == name[0]
        assert short[-1] == name[-1]
        assert len(short) == width
