from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.formats.threats import enforce, largest_bound, measure
from harness.tracks import Threat

SIZE = (5, 4)


@st.composite
def batches(draw) -> tuple[np.ndarray, np.ndarray]:
    """A clean batch and one that differs from it a little, much, in a few places or not at all."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    clean = generator.integers(0, 256, (3, SIZE[1], SIZE[0], 3), np.uint8)
    if draw(st.booleans()):
        clean = np.where(clean < 128, 0, 255).astype(np.uint8)
    far = draw(st.sampled_from([0, 1, 3, 40, 255]))
    change = generator.integers(-far, far + 1, clean.shape) * (generator.random((*clean.shape[:3], 1)) < draw(st.floats(0, 1)))
    return clean, np.clip(clean + change, 0, 255).astype(np.uint8)


def norm_squared(clean: np.ndarray, other: np.ndarray) -> list[int]:
    change = other.astype(np.int64) - clean
    return (change * change).sum(axis=(1, 2, 3)).tolist()


@settings(max_examples=400)
@given(batches(), st.integers(0, 700))
def test_an_image_is_within_its_norm_after_rounding(pair, bound):
    clean, adversarial = pair
    enforced = enforce(Threat.L2, clean, adversarial, bound)
    before = norm_squared(clean, adversarial)
    assert enforced.measured.tolist() == [math.isqrt(square - 1) + 1 if square else 0 for square in before]
    assert not enforced.refused
    for index, square in enumerate(before):
        change = enforced.pixels[index].astype(int) - clean[index]
        asked = adversarial[index].astype(int) - clean[index]
        assert (change * change).sum() <= bound * bound
        assert (change * asked >= 0).all()
        assert (enforced.measured[index] > bound) == (square > bound * bound)
        if square <= bound * bound:
            assert (change == asked).all()
        else:
            # Scaled, then rounded towards zero: never further than one step from the exact value.
            exact = np.abs(asked) * (bound / math.sqrt(square))
            assert (np.abs(change) <= exact + 1e-9).all()
            assert (np.abs(change) > exact - 1 - 1e-9).all()


@settings(max_examples=200)
@given(batches(), st.integers(0, 6))
def test_a_patch_is_left_as_it_is_or_refused(pair, bound):
    clean, adversarial = pair
    enforced = enforce(Threat.PATCH, clean, adversarial, bound)
    for index in range(len(clean)):
        where = np.argwhere((clean[index] != adversarial[index]).any(axis=2))
        side = int((np.ptp(where, axis=0) + 1).max()) if len(where) else 0
        assert enforced.measured[index] == side
        assert (index in enforced.refused) == (side > bound)
        np.testing.assert_array_equal(enforced.pixels[index], clean[index] if side > bound else adversarial[index])


def test_a_refused_patch_says_what_it_spans():
    clean = np.zeros((1, 4, 5, 3), np.uint8)
    adversarial = clean.copy()
    adversarial[0, 0, 0] = adversarial[0, 1, 4, 2] = 1
    assert enforce(Threat.PATCH, clean, adversarial, 4).refused == {
        0: "its changes span 5x2 pixels, and a square of 4x4 may change"}
    assert not enforce(Threat.PATCH, clean, adversarial, 5).refused


@given(batches())
def test_anything_may_change_where_nothing_is_restricted(pair):
    clean, adversarial = pair
    enforced = enforce(Threat.UNRESTRICTED, clean, adversarial, 255)
    np.testing.assert_array_equal(enforced.pixels, adversarial)
    assert not enforced.refused


@given(batches(), st.integers(0, 255))
def test_a_pixel_is_clipped(pair, bound):
    clean, adversarial = pair
    enforced = enforce(Threat.LINF, clean, adversarial, bound)
    expected = np.clip(adversarial, clean.astype(int) - bound, clean.astype(int) + bound)
    np.testing.assert_array_equal(enforced.pixels, expected)
    assert enforced.measured.tolist() == np.abs(adversarial.astype(int) - clean).max(axis=(1, 2, 3)).tolist()


@pytest.mark.parametrize("threat", Threat)
def test_the_largest_bound_allows_every_image_and_one_less_does_not(threat):
    clean, adversarial = np.zeros((1, SIZE[1], SIZE[0], 3), np.uint8), np.full((1, SIZE[1], SIZE[0], 3), 255, np.uint8)
    bound = largest_bound(threat, SIZE)
    np.testing.assert_array_equal(enforce(threat, clean, adversarial, bound).pixels, adversarial)
    if threat is not Threat.UNRESTRICTED:
        assert (enforce(threat, clean, adversarial, bound - 1).pixels != adversarial).any()


@settings(max_examples=200, deadline=None)
@given(batches(), st.sampled_from(Threat), st.integers(0, 255))
def test_measuring_alone_says_the_same(pair, threat, bound):
    clean, adversarial = pair
    measured = measure(threat, clean, adversarial)
    assert measured.dtype == np.int64
    assert measured.tolist() == enforce(threat, clean, adversarial, bound).measured.tolist()
