"""The audit's statistics: how rarely it accuses a program without memory, and how soon it finds one that has it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from harness.scoring.odd_one_out import FEWEST, LEVEL, RUNS, is_odd, label_distances, proves_memory, score_distances

IMAGES, CLASSES = 20, 10
Answers = Callable[[np.random.Generator], np.ndarray]


def drawn(images: int, share: float = 1.0) -> Answers:
    """So many of a batch's answers are drawn at random, in this share of its runs."""
    def answers(rng: np.random.Generator) -> np.ndarray:
        labels = np.arange(IMAGES, dtype=np.int16) % CLASSES
        if rng.random() < share:
            labels[:images] = rng.integers(0, CLASSES, images)
        return labels
    return answers


def drawn_anywhere(rng: np.random.Generator) -> np.ndarray:
    """One of five answers is drawn at random, in every run another one."""
    labels = np.arange(1, 6, dtype=np.int16)
    labels[rng.integers(5)] = rng.integers(0, CLASSES)
    return labels


def zeros(rng: np.random.Generator) -> np.ndarray:
    """What a program with a state answers instead, with one random answer as before."""
    labels = np.zeros(5, np.int16)
    labels[rng.integers(5)] = rng.integers(0, CLASSES)
    return labels


def one_of_two(rng: np.random.Generator) -> np.ndarray:
    """All answers hang on one coin."""
    return np.full(IMAGES, rng.integers(0, 2), np.int16)


def with_state(hidden: Answers, rng: np.random.Generator) -> np.ndarray:
    labels = hidden(rng)
    labels[-5:] = CLASSES + 1
    return labels


def odd_share(served: Answers, fresh: Answers, runs: int, seed: int) -> np.ndarray:
    """Whether the served answer was the odd one, bool[runs], looked at with two fresh ones and then with nine, as in the audit."""
    rng = np.random.default_rng(seed)
    found = np.zeros(runs, bool)
    for run in range(runs):
        distances = label_distances([served(rng), *(fresh(rng) for _ in range(RUNS - 1))])
        found[run] = is_odd(distances[:3, :3]) and is_odd(distances)
    return found


def test_the_odd_one_is_found_by_the_votes_of_the_images() -> None:
    rows = {"apart in all": ([[5, 5, 5], [1, 1, 1], [1, 1, 1]], True), "no difference": ([[1, 1, 1]] * 3, False),
            "a fresh one is apart": ([[1, 1, 1], [5, 5, 5], [1, 1, 1]], False),
            "apart in one image, as each other": ([[5, 1, 1], [1, 5, 1], [1, 1, 5]], False),
            "apart in two of three": ([[5, 5, 1], [1, 1, 5], [1, 1, 1]], True), "all differ": ([[1, 1], [2, 2], [3, 3]], False)}
    for name, (answers, expected) in rows.items():
        assert is_odd(label_distances([np.array(answer, np.int16) for answer in answers])) is expected, name


def test_how_far_an_image_is_apart_does_not_outvote_the_others() -> None:
    """One image with large random changes, all others with small ones that only the served answer has."""
    positions = np.array([[900] + [3] * 9, [100] + [0] * 9, [500] + [0] * 9], np.int64)
    assert is_odd(np.abs(positions[:, None] - positions[None]))


@pytest.mark.parametrize(("program", "most"), [
    (drawn(1), 0.1), (drawn(5), 0.1), (drawn(IMAGES), 0.1), (drawn(1, 0.1), 0.1), (drawn(IMAGES, 0.02), 0.1), (one_of_two, 0.1),
    (drawn_anywhere, 0.1)], ids=["one answer", "some", "all", "one, now and then", "all, hardly ever", "a coin", "one, anywhere"])
def test_an_honest_programs_served_answer_is_the_odd_one_no_more_than_once_in_ten(program: Answers, most: float) -> None:
    runs = 1000
    assert odd_share(program, program, runs, seed=7).mean() <= most + 3 * np.sqrt(most * (1 - most) / runs)


def test_honest_programs_are_marked_no_more_often_than_stated() -> None:
    """The worst that can be without memory, odd once in ten, looked at after every one of 300 runs."""
    contests, runs = 20_000, 300
    odd = np.random.default_rng(3).random((contests, runs)) < 1 / RUNS
    fewest = np.array([next((k for k in range(n + 1) if proves_memory(k, n)), n + 1) for n in range(1, runs + 1)])
    marked = (odd.cumsum(axis=1) >= fewest).any(axis=1).mean()
    assert 0 < marked <= LEVEL


@pytest.mark.parametrize(("share", "needed"), [(1.0, 4), (0.9, 8), (0.7, 12), (0.5, 30), (0.3, 115)])
def test_a_state_is_found_in_as_many_runs_as_the_guide_says(share: float, needed: int) -> None:
    """A program whose state shows in this share of its runs, found nine times in ten."""
    odd = np.random.default_rng(5).random((400, needed)) < share
    found = [any(proves_memory(int(k), n) for n, k in enumerate(contest.cumsum(), 1)) for contest in odd]
    assert np.mean(found) >= 0.9


def test_random_answers_do_not_hide_a_state() -> None:
    """The state changes five of twenty answers; one, or all the others, are drawn at random in every run."""
    assert proves_memory(FEWEST, FEWEST)
    assert not proves_memory(FEWEST - 1, FEWEST - 1)
    for hidden in (drawn(1), drawn(IMAGES - 5)):
        odd = odd_share(partial(with_state, hidden), hidden, 12, seed=11)
        assert proves_memory(int(odd.sum()), 12)


def test_random_answers_at_other_images_in_every_run_do_not_hide_a_state() -> None:
    """Of nine fresh runs some have a random answer at nearly every image; the image still tells the served one."""
    assert odd_share(zeros, drawn_anywhere, 300, seed=13).mean() > 0.9


def test_scores_are_as_far_apart_as_in_parts_of_each_images_own_largest_distance() -> None:
    answers = [np.array(scores, np.float32) for scores in ([0, 1e-6, 5, np.nan], [1, 2e-6, 5, 7], [4, 2e-6, 5, 9])]
    apart = score_distances(answers)
    assert (apart == apart.transpose(1, 0, 2)).all()
    assert (apart[:, :, 2] == 0).all()
    assert apart[0, 1, 0] * 4 == apart[0, 2, 0] == apart[0, 1, 1] == apart[1, 2, 3]
    # No score is farther from any score than they are from each other.
    assert apart[0, 1, 3] == apart[0, 2, 3] > apart[1, 2, 3]
    assert is_odd(apart)


def test_scores_with_noise_make_the_served_answer_the_odd_one_as_often_as_any_other() -> None:
    rng = np.random.default_rng(4)
    odd = [is_odd(score_distances(list(rng.normal(size=(RUNS, IMAGES)).astype(np.float32)))) for _ in range(2000)]
    assert np.mean(odd) < 1 / RUNS + 0.02
    state = np.where(np.arange(IMAGES) < IMAGES / 2, 8, 0)
    assert all(is_odd(score_distances([found + state * (run == 0) for run, found in enumerate(
        rng.normal(size=(RUNS, IMAGES)).astype(np.float32))])) for _ in range(50))
