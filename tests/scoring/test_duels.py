"""Duels as scoring is given them: what fits together, and what steps of queries say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.scoring import Duels, Queries
from harness.scoring.duels import STEP
from harness.tracks import Access
from tests.scoring.duels import duels, entry

STEPS = np.array([(0, 0, 1, 3, 50), (0, 1, 1, 1, 9), (0, 0, 1, 7, 40), (0, 0, 2, 5, 60)], STEP)


def _queries(images: int = 3) -> Queries:
    return Queries(budget=8, charged=np.full((1, 2, images), 8, np.int32), steps=STEPS)


def test_the_first_query_and_the_smallest_change_of_each_image_follow_from_the_steps() -> None:
    queries = _queries()
    assert queries.first(0).tolist() == [[0, 3, 5], [0, 1, 0]]
    assert queries.smallest(0, 8).tolist() == [[-1, 40, 60], [-1, 9, -1]]
    assert queries.smallest(0, 4).tolist() == [[-1, 50, -1], [-1, 9, -1]]
    assert (queries.smallest(0, 0) == -1).all()


@pytest.mark.parametrize(("name", "change"), [
    ("another shape", lambda one: replace(one, codes=one.codes[:, :1])),
    ("another type", lambda one: replace(one, produced=one.produced.astype(np.uint8))),
    ("open as of images", lambda one: replace(one, open=one.counted)),
    ("queries of a white box", lambda one: replace(one, queries=_queries())),
    ("no queries of queries", lambda one: replace(one, access=Access.QUERY)),
    ("queries of other images", lambda one: replace(one, access=Access.QUERY, queries=_queries(images=4))),
])
def test_what_does_not_fit_together_is_refused(name: str, change: Callable[[Duels], Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|queries"):
        change(duels([entry("a")], ["d", "e"], "..w", "..w"))
