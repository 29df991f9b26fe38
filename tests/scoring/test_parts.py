"""Results cut to some batches score as a data set of those images alone would; a flag where larger is easier; who was fooled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.scoring import CORRECT, LABELLED, TARGET, Entry, Results, View, complete
from harness.scoring.leaderboard import build_leaderboards, build_matrix
from harness.scoring.parts import Point, easier_at_larger, fooled_by, on_batches
from tests.report.test_duels import duel_round


def made(batch: list[int]) -> Results:
    generator = np.random.default_rng(5)
    count = len(batch)
    kinds = ("attack", "targeted_attack", "defense", "defense")
    entries = [Entry(f"e{at}", "", kind, at == 0, at, "") for at, kind in enumerate(kinds)]
    codes = generator.choice(np.array([0, 1, 3, 5], np.uint8), (2, 2, count))
    produced = generator.random((2, count)) < 0.9
    truth = generator.integers(0, 10, count).astype(np.int32)
    made = complete(tuple(entries[:2]), tuple(entries[2:]), truth=truth, target=truth + 1, produced=produced,
                    codes=codes * produced[:, None], clean_codes=generator.choice(np.array([1, 3], np.uint8), (2, count)),
                    batch=np.array(batch, np.int32))
    return replace(made, image_ids=tuple(f"i{at}" for at in range(count)))


#: Batches that end within a byte, that take turns, and whole bytes.
BATCHES = {"within a byte": [0] * 5 + [1] * 7 + [2] * 9, "in turns": [0, 1, 2] * 9, "bytes": [0] * 8 + [1] * 16 + [2] * 8}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("chosen", [[True, False, True], [False, True, False], [True, True, True]], ids=str)
def test_the_part_scores_as_its_images_alone(batch, chosen):
    whole = made(batch)
    whole = replace(whole, run_done=whole.run_done & (np.arange(3) != 2))
    images = np.array(chosen)[batch]
    part = on_batches(whole, np.array(chosen))
    alone = replace(
        complete(whole.attacks, whole.defenses, truth=whole.truth[images], target=whole.target[images],
                 produced=whole.produced[:, images],
                 codes=np.stack([whole.verdicts.codes(attack)[:, images] for attack in range(2)]),
                 clean_codes=whole.clean_codes[:, images], batch=part.batch),
        run_done=part.run_done)
    assert part.images == images.sum()
    assert part.image_ids == tuple(np.array(whole.image_ids)[images])
    views = list(View)
    assert [board.to_json() for board in build_leaderboards(part, views, resamples=50).values()] == [
        board.to_json() for board in build_leaderboards(alone, views, resamples=50).values()]
    assert build_matrix(part).to_json() == build_matrix(alone).to_json()


def test_who_was_fooled_by_an_image():
    results = made(BATCHES["within a byte"])
    for attack in range(2):
        codes = results.verdicts.codes(attack)
        for image in range(results.images):
            asked, wrong, hit = fooled_by(results, attack, image)
            there = np.full(2, results.produced[attack, image])
            assert asked.tolist() == there.tolist()
            assert wrong.tolist() == (there & ((codes[:, image] & CORRECT) == 0)).tolist()
            assert hit.tolist() == (there & ((codes[:, image] & (LABELLED | TARGET)) == 5)).tolist()


@pytest.mark.parametrize(("track", "scores", "expected"), [
    ("defense", [(0.8, 0.9), (0.91, 0.95)], (16, 32)),
    ("defense", [(0.8, 0.9), (0.89, 0.95)], None),
    ("defense", [(0.8, 0.9), (0.5, 0.6)], None),
    ("attack", [(0.8, 0.9), (0.5, 0.6)], (16, 32)),
    ("targeted_attack", [(0.5, 0.6), (None, None), (0.1, 0.2)], (16, 48)),
    ("attack", [(0.5, 0.6), (0.8, 0.9)], None),
    ("attack", [], None),
], ids=str)
def test_a_larger_epsilon_that_does_less_harm_is_told(track, scores, expected):
    points = [Point(bound=16 * (at + 1), score=low, low=low, high=high) for at, (low, high) in enumerate(scores)]
    assert easier_at_larger(points, track) == expected


def test_duels_are_cut_with_the_rest() -> None:
    results = duel_round()
    results = replace(
        results, batch=np.array([0, 0, 1, 1], np.int32), attack_done=results.attack_done.repeat(2, -1),
        run_done=results.run_done.repeat(2, -1), clean_done=results.clean_done.repeat(2, -1),
        duels=tuple(replace(duels, done=duels.done.repeat(2, -1)) for duels in results.duels))
    part = on_batches(results, np.array([False, True]))
    board = build_leaderboards(part, [View.STANDARD], resamples=0)[View.STANDARD]
    rows = {row.name: row for rows in board.tracks.values() for row in rows}
    assert (rows["strong"].score, rows["asks"].score) == (.5, .5)
    assert rows["asks"].figures == {"undetected": None, "median_queries": 70.0, "median_distance": 1250.0}
    assert rows["open"].robust == {"black_box": .5, "white_box": .5, "query": .5}
