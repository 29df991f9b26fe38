"""Mixed batches: every image of every input lies in exactly one of them, and the deal follows from the digests alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.scheduling.mixing import NOBODY, mix


@given(count=st.integers(1, 9), images=st.integers(1, 30), seed=st.integers(0, 1000))
def test_each_image_is_dealt_exactly_once(count: int, images: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    digests = [f"{seed}-{i}" for i in range(count)]
    produced = [generator.random(images) < 0.8 for _ in range(count)]
    mixes = mix(digests, produced)
    assert len(mixes) == count
    seen = np.zeros((count, images), int)
    for made in mixes:
        held = made.parts != NOBODY
        np.add.at(seen, (made.parts[held], np.flatnonzero(held)), 1)
    assert (seen == np.stack(produced)).all()


def test_the_order_of_the_inputs_does_not_matter() -> None:
    digests = ["a", "b", "c"]
    everything = [np.ones(20, bool)] * 3
    again = mix(digests[::-1], everything)
    assert {m.digest for m in mix(digests, everything)} == {m.digest for m in again}


def test_a_mixed_batch_holds_images_of_several_inputs() -> None:
    mixes = mix(list("abcdefgh"), [np.ones(100, bool)] * 8)
    assert all(len(np.unique(made.parts)) == 8 for made in mixes)
