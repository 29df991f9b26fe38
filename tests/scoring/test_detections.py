"""What scoring is given of detectors fits together, or is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.scoring import Entry, Results, complete
from harness.scoring.detections import Detections

ATTACKS = ("a", "b")


def detections(**changes) -> Detections:
    """Two detectors, two attacks, five images in one batch."""
    generator = np.random.default_rng(1)
    parts = {"attacks": ATTACKS, "detectors": ("p", "q"), "attacked": generator.random((2, 2, 5), np.float32),
             "clean": generator.random((2, 2, 5), np.float32), "shown": np.ones((2, 5), bool), "done": np.ones((2, 2, 1), bool)}
    return Detections(**{**parts, **changes})


def results() -> Results:
    entries = tuple(Entry(name, "", "attack", False, place, "d") for place, name in enumerate(ATTACKS))
    return complete(entries, (), truth=np.zeros(5, np.int32), target=np.ones(5, np.int32), produced=np.ones((2, 5), bool),
                    codes=np.zeros((2, 0, 5), np.uint8), clean_codes=np.zeros((0, 5), np.uint8))


def detectors(*names: str) -> tuple[Entry, ...]:
    return tuple(Entry(name, "", "detector", False, place, "d") for place, name in enumerate(names))


def test_scores_that_fit_are_taken() -> None:
    assert replace(results(), detectors=detectors("p", "q"), detections=detections()).detections is not None


@pytest.mark.parametrize(("changes", "said"), [
    ({"attacked": np.zeros((2, 2, 4), np.float32)}, "attacked"),
    ({"clean": np.zeros((2, 2, 5))}, "clean is float64"),
    ({"shown": np.ones((2, 5), np.int8)}, "shown"),
    ({"done": np.ones((1, 2, 1), bool)}, "done"),
])
def test_arrays_that_do_not_fit_are_refused(changes, said) -> None:
    with pytest.raises(ValueError, match=said):
        detections(**changes)


@pytest.mark.parametrize(("names", "scored"), [
    (("p",), detections()),
    (("q", "p"), detections()),
    (("p", "q"), None),
    (("p", "q"), detections(attacks=("b", "a"))),
    (("p", "q"), detections(done=np.ones((2, 2, 3), bool))),
])
def test_scores_of_other_entries_are_refused(names, scored) -> None:
    with pytest.raises(ValueError, match="detectors"):
        replace(results(), detectors=detectors(*names), detections=scored)
