"""What a query duel counts and keeps, without programs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.query_record import QueryRecord
from harness.tracks import Threat

CLEAN = np.full((3, 2, 2, 3), 100, np.uint8)


def changed(*steps: int) -> np.ndarray:
    rows = np.full((len(steps), 2, 2, 3), 100, np.uint8)
    rows[:, 0, 0, 0] += np.array(steps, np.uint8)
    return rows


def asked(record: QueryRecord, images: list[int], steps: list[int], labels: list[int]) -> list[int]:
    numbers = record.charge(np.array(images, np.intp), changed(*steps))
    shown = numbers > 0
    record.observe(np.array(images, np.intp)[shown], numbers[shown], changed(*steps)[shown], np.array(labels, np.int16)[shown])
    return numbers.tolist()


def test_the_first_query_and_the_smallest_change_are_kept() -> None:
    record = QueryRecord(CLEAN, Threat.LINF, bound=8, budget=10)
    asked(record, [0, 0, 1], [9, 5, 7], [4, 4, 4])
    asked(record, [0, 0, 0], [6, 3, 3], [4, 4, 5])
    assert record.findings().by_label() == [(0, 4, 2, 3), (0, 5, 5, 3), (1, 4, 1, 7)]
    found = record.findings()
    assert list(zip(found.image.tolist(), found.label.tolist(), found.number.tolist(), found.change.tolist(), strict=True)) == [
        (0, 4, 2, 5), (1, 4, 1, 7), (0, 4, 4, 3), (0, 5, 5, 3)], "each time that the change became smaller"


def test_nothing_found_is_a_table_without_rows() -> None:
    found = QueryRecord(CLEAN, Threat.L2, bound=8, budget=10).findings()
    assert (found.by_label(), len(found.image), found.label.dtype) == ([], 0, np.int16)


def test_a_row_beyond_the_budget_has_no_number() -> None:
    record = QueryRecord(CLEAN, Threat.LINF, bound=8, budget=2)
    assert asked(record, [0, 1, 0, 0, 2], [1] * 5, [0] * 5) == [1, 1, 2, 0, 1]
    assert asked(record, [0, 1, 1], [1] * 3, [0] * 3) == [0, 2, 0]
    assert record.counts.tolist() == [2, 2, 1]


FAR = np.full((3, 2, 2, 3), 50, np.uint8) + np.array([0, 60, 120], np.uint8)[:, None, None, None]


@pytest.mark.parametrize(("about", "shows", "counts"), [
    (0, 0, [1, 0, 0]), (0, 8, [1, 0, 0]), (0, 60, [1, 1, 0]), (0, 68, [1, 1, 0]), (0, 52, [1, 1, 0]),
    (0, 51, [1, 1, 0]), (0, 41, [1, 1, 0]), (0, 40, [1, 0, 0]), (0, 79, [1, 1, 0]), (0, 81, [1, 1, 0]), (0, 31, [1, 0, 0]),
    (1, 120, [0, 1, 1]), (2, 0, [1, 0, 1]), (1, 41, [0, 1, 0]), (1, 101, [0, 1, 1]), (1, 100, [0, 1, 0]),
])
def test_a_row_that_shows_another_image_is_charged_to_both(about, shows, counts) -> None:
    """Within the bound around the other one, or less than half as far from it; what lies between images is its own alone."""
    record = QueryRecord(FAR, Threat.LINF, bound=8, budget=10)
    numbers = record.charge(np.array([about], np.intp), np.full((1, 2, 2, 3), 50 + shows, np.uint8))
    assert (numbers.tolist(), record.counts.tolist()) == ([1], counts)


def test_an_image_is_not_asked_about_on_the_budget_of_others() -> None:
    record = QueryRecord(FAR, Threat.LINF, bound=8, budget=3)
    rows = np.repeat(FAR[1:2], 8, axis=0)
    numbers = record.charge(np.array([0, 2, 1, 0, 2, 0, 2, 0], np.intp), rows)
    assert numbers.tolist() == [1, 1, 3, 0, 0, 0, 0, 0]
    assert record.counts.tolist() == [1, 3, 1]


def test_one_pixel_beyond_the_bound_hides_no_image() -> None:
    record = QueryRecord(FAR, Threat.LINF, bound=8, budget=3)
    rows = np.repeat(FAR[1:2], 4, axis=0)
    rows[:, 1, 1, 1] += 9
    assert record.charge(np.array([0, 2, 0, 2], np.intp), rows).tolist() == [1, 1, 2, 0]
    assert record.counts.tolist() == [2, 3, 1]


def test_images_that_are_the_same_have_each_their_own() -> None:
    record = QueryRecord(CLEAN, Threat.LINF, bound=8, budget=2)
    assert record.charge(np.array([0, 1, 2, 2, 2], np.intp), changed(0, 1, 2, 3, 4)).tolist() == [1, 1, 1, 2, 0]


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(-3, 3)), max_size=6), max_size=8),
       st.integers(1, 5))
def test_counts_and_findings_against_the_definition(batches, budget) -> None:
    record = QueryRecord(CLEAN, Threat.LINF, bound=8, budget=budget)
    counts, first, smallest = [0] * 3, {}, {}
    for batch in batches:
        images, steps, labels = (list(column) for column in zip(*batch, strict=True)) if batch else ([], [], [])
        asked(record, images, steps, labels)
        for image, step, label in batch:
            if counts[image] == budget:
                continue
            counts[image] += 1
            if step <= 8:
                first.setdefault((image, label), counts[image])
                smallest[image, label] = min(step, smallest.get((image, label), step))
    assert record.counts.tolist() == counts
    assert record.findings().by_label() == [(*pair, first[pair], smallest[pair]) for pair in sorted(first)]
