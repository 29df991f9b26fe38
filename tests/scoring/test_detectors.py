"""Figures of detectors in the whole leaderboard."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from harness.scoring import View, score_tracks, tally
from harness.scoring.detectors import CONSTANT
from harness.scoring.leaderboard import Row, build_leaderboard, build_leaderboards
from tests.detectors import contest, random

FIGURES = ["auroc_fooling", "tpr_at_5_fpr", "tpr_at_1_fpr", "best_f1", "f1_frozen", "aupr", "prevalence"]


def rows(results, resamples: int = 0) -> dict[str, Row]:
    return {row.name: row for row in build_leaderboard(results, resamples=resamples).tracks["detector"]}


def sklearn_area(attacked: np.ndarray, clean: np.ndarray) -> float:
    scores = np.concatenate([attacked, clean])
    return roc_auc_score(np.repeat([1, 0], [len(attacked), len(clean)]), np.clip(scores, -1e9, 1e9))


def test_the_worked_example_of_the_documentation() -> None:
    attacked = np.array([[0.9, 0.8, 0.4, math.nan], [0.7, 0.3, 0, 0]])
    clean = np.array([[0.1, 0.5, 0.4, 0.2], [0.2, 0.3, 0, 0]])
    shown = np.array([[True] * 4, [True, True, False, False]])
    wrong = np.array([[[True, True, False, False]], [[False, True, False, False]]])
    row = rows(contest({"E": (attacked, clean)}, shown=shown, wrong=wrong))["E"]
    assert (row.score, row.worst, row.worst_opponent) == ((10.5 / 16 + 3.5 / 4) / 2, 10.5 / 16, "attack0")
    assert row.figures == {
        "auroc_fooling": (1 + 0.5) / 2, "tpr_at_5_fpr": None, "tpr_at_1_fpr": None, "best_f1": pytest.approx(10 / 14),
        "f1_frozen": None, "aupr": pytest.approx((1 + 1 + 1 + 4 / 6 + 5 / 8 + 6 / 12) / 6), "prevalence": 0.5}
    assert row.coverage == pytest.approx(11 / 12)


@pytest.mark.parametrize("digits", [6, 1, 0])
def test_figures_are_scikit_learns_from_end_to_end(digits: int) -> None:
    """Ties, missing scores on both sides, images that were left unchanged, an attack that changed nothing, batches to come."""
    generator = np.random.default_rng(digits)
    batch, shown = np.repeat([0, 1, 2], 100), generator.random((4, 300)) < np.array([[1], [0.6], [0.3], [0]])
    scores = {name: tuple(np.where(generator.random((4, 300)) < 0.1, np.nan, side.round(digits))
                          for side in random(generator, 4, 300, shift)) for name, shift in (("good", 1.5), ("weak", 0.2))}
    done = np.ones((2, 4, 3), bool)
    done[1, 0, 2] = done[1, 1] = False
    wrong = generator.random((4, 2, 300)) < 0.3
    results = contest(scores, shown=shown, done=done, batch=batch, wrong=wrong)  # type: ignore[arg-type]
    fooled = wrong.any(axis=1)
    for place, (name, row) in enumerate(sorted(rows(results).items())):
        attacked, clean = results.detections.attacked[place], results.detections.clean[place]
        counts = shown & done[place][:, batch]
        areas = [sklearn_area(attacked[a][counts[a]], clean[a][counts[a]]) if counts[a].any() else None for a in range(4)]
        some = counts & fooled
        fooling = [sklearn_area(attacked[a][some[a]], clean[a][some[a]]) for a in range(4) if some[a].any()]
        known = [area for area in areas if area is not None]
        labels = np.repeat([1, 0], counts.sum())
        together = np.clip(np.concatenate([attacked[counts], clean[counts]]), -1e9, 1e9)
        precision, recall, _ = precision_recall_curve(labels, together)
        limit = sorted(clean[counts])[::-1][counts.sum() * 5 // 100]
        close = {"auroc_fooling": np.mean(fooling), "aupr": average_precision_score(labels, together), "prevalence": 0.5,
                 "best_f1": np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)),
                 "tpr_at_5_fpr": (attacked[counts] > limit).mean()}
        assert name == row.name
        assert (row.score, row.worst) == (pytest.approx(np.mean(known), abs=1e-9), pytest.approx(min(known), abs=1e-9))
        assert row.worst_opponent == f"attack{areas.index(min(known, key=lambda area: area))}"
        assert {figure: row.figures[figure] for figure in close} == {k: pytest.approx(v, abs=1e-9) for k, v in close.items()}
        assert row.figures["tpr_at_1_fpr"] is None
        assert row.coverage == pytest.approx(np.isfinite(together[np.abs(together) < 1e9]).sum() / len(together))


def test_the_json_has_exactly_the_agreed_fields() -> None:
    results = contest({"one": random(np.random.default_rng(1), 2, 40)})
    board = build_leaderboard(results, resamples=20).to_json()
    (row,) = json.loads(json.dumps(board, allow_nan=False))["tracks"]["detector"]
    assert list(row) == ["rank", "rank_low", "rank_high", "name", "team", "baseline", "score", "score_low", "score_high", "raw",
                         "worst", "worst_opponent", "coverage", "median_time_s", "outcomes", *FIGURES, "by_threat"]
    # Too few images for a threshold, no defenses, and images are not what a detector earns.
    assert {name for name, value in row.items() if value is None} == {
        "raw", "auroc_fooling", "tpr_at_5_fpr", "tpr_at_1_fpr", "f1_frozen"}
    assert all(found["undetected"] is None for found in board["tracks"]["attack"])


@pytest.mark.parametrize(("images", "known"), [(199, []), (200, [5]), (999, [5]), (1000, [5, 1])])
def test_thresholds_need_ten_images_to_let_through(images: int, known: list[int]) -> None:
    row = rows(contest({"one": random(np.random.default_rng(2), 3, images)}))["one"]
    assert [percent for percent in (5, 1) if row.figures[f"tpr_at_{percent}_fpr"] is not None] == known
    assert (row.figures["f1_frozen"] is not None) == (5 in known)


def test_no_view_of_2017_changes_a_detector() -> None:
    generator = np.random.default_rng(3)
    results = contest({name: random(generator, 3, 50) for name in "abc"}, wrong=generator.random((3, 2, 50)) < 0.4)
    boards = build_leaderboards(results, list(View), resamples=50).values()
    first, *others = (board.to_json()["tracks"]["detector"] for board in boards)
    assert others == [first, first]


def test_equal_areas_in_another_order_share_a_rank() -> None:
    generator = np.random.default_rng(4)
    attacked, clean = random(generator, 7, 31)
    found = rows(contest({"one": (attacked, clean), "same": (attacked[::-1], clean[::-1]), "worse": (clean, attacked)}))
    assert found["one"].score == found["same"].score
    assert {name: row.rank for name, row in found.items()} == {"one": 1, "same": 1, "worse": 3}
    assert found["worse"].score == pytest.approx(1 - found["one"].score)


@pytest.mark.parametrize("value", [0.0, -1e30, 0.5])
def test_a_constant_detector_is_said_to_be_one_and_stands_below_any_that_tells_something(value: float) -> None:
    images = np.full((2, 300), value)
    left_out = np.where(np.arange(300) % 10, images, np.nan)
    generator = np.random.default_rng(5)
    weak = random(generator, 2, 300, 0.2)
    found = rows(contest({"constant": (images, images), "with gaps": (left_out, images), "weak": weak}), 200)
    assert {name: row.mark for name, row in found.items()} == {"constant": CONSTANT, "with gaps": CONSTANT, "weak": ""}
    assert (found["constant"].score, found["constant"].figures["best_f1"]) == (0.5, pytest.approx(2 / 3))
    assert (found["constant"].figures["tpr_at_5_fpr"], found["constant"].figures["f1_frozen"]) == (0, 0)
    assert found["weak"].score > 0.5 > found["with gaps"].score


def test_a_detector_that_answered_nothing_stands_last() -> None:
    nothing = np.full((2, 250), np.nan)
    everything = np.ones((2, 250))
    found = rows(contest({"flags all": (everything, everything), "silent": (nothing, nothing), "one side": (nothing, everything)}))
    assert [(row.score, row.coverage, row.rank) for row in found.values()] == [(0.5, 1, 1), (0, 0, 2), (0, 0.5, 2)]
    assert found["silent"].mark == ""


def test_undetected_is_what_the_best_detector_lets_through() -> None:
    generator = np.random.default_rng(6)
    best, other = random(generator, 3, 400, 3), random(generator, 3, 400, 0.3)
    shown = np.ones((3, 400), bool)
    shown[1, 100:] = shown[2] = False
    results = contest({"other": other, "best": best}, shown=shown)
    limit = np.sort(best[1].astype(np.float32)[shown])[::-1][500 * 5 // 100]
    found = {row.name: row.figures["undetected"] for row in build_leaderboard(results, resamples=0).tracks["attack"]}
    assert found["attack0"] == pytest.approx((best[0][0].astype(np.float32) <= limit).mean(), abs=1e-9)
    assert found["attack1"] == pytest.approx((best[0][1, :100].astype(np.float32) <= limit).mean(), abs=1e-9)
    assert found["attack2"] is None


def test_nothing_has_ended_yet() -> None:
    results = contest({"one": random(np.random.default_rng(7), 2, 300)}, done=np.zeros((1, 2, 1), bool))
    row = rows(results, 20)["one"]
    assert (row.rank, row.score, row.score_low, row.worst, row.worst_opponent, row.coverage, row.mark) == (*[None] * 6, "")
    assert set(row.figures.values()) == {None}


def test_a_round_without_detectors_has_none() -> None:
    results = replace(contest({"one": random(np.random.default_rng(8), 2, 30)}), detectors=(), detections=None)
    assert build_leaderboard(results, resamples=20).tracks["detector"] == ()


def test_attacks_and_defenses_score_alike_with_detectors_and_without() -> None:
    """Whole numbers are summed in float32, numbers of detectors beside them in float64: the same resamples, the same sums."""
    generator = np.random.default_rng(9)
    results = contest({"one": random(generator, 3, 60)}, wrong=generator.random((3, 2, 60)) < 0.4)
    boards = [build_leaderboard(each, resamples=100).to_json()["tracks"]
              for each in (results, replace(results, detectors=(), detections=None))]
    assert boards[0]["attack"] == boards[1]["attack"]
    assert boards[0]["defense"] == boards[1]["defense"]


def test_intervals_and_rank_sets_cover() -> None:
    """120 data sets of 150 images: two detectors as good as each other and a better one, whose true areas are known."""
    generator = np.random.default_rng(10)
    shifts = (0.5, 0.5, 1.2)
    # Two images differ by their own part (twice a variance of 1) and by the detector's (twice one half).
    truth = np.array([0.5 * (1 + math.erf(shift / math.sqrt(3) / math.sqrt(2))) for shift in shifts])
    covered, ranked = [], []
    for _ in range(120):
        base = generator.normal(size=150)
        results = contest({f"d{place}": (base + generator.normal(shift, 0.5**0.5, (3, 150)),
                                         base + generator.normal(0, 0.5**0.5, (3, 150)))
                           for place, shift in enumerate(shifts)})
        found = score_tracks(results, tally(results), resamples=300)["detector"].intervals
        covered.append((found.score_low <= truth) & (truth <= found.score_high))
        ranked.append(((found.rank_low <= [2, 2, 1]) & (found.rank_high >= [2, 2, 1])).all())
    # Three standard errors of 360 and of 120.
    assert np.mean(covered) >= 0.95 - 0.035
    assert np.mean(ranked) >= 0.95 - 0.06
