"""Scores against the rules' test vector, and against a plain slow implementation of the rules' sentences."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.scoring import (
    LABELLED,
    Entry,
    Layout,
    Results,
    TrackScores,
    Verdicts,
    View,
    clean_accuracy,
    complete,
    display_order,
    mean_scores,
    pair_scores,
    score_tracks,
    tally,
    unlabelled_earned,
)
from harness.scoring.bootstrap import intervals, resampled_scores
from harness.scoring.ranking import ranks
from harness.scoring.tally import image_cells
from harness.scoring.verdicts import add_planes, count_bits
from harness.scoring.views import counted
from harness.tracks import TRACKS, consumes, detects
from tests.helpers.verdicts import codes_from_labels, codes_of

NONE = -1


def entries(kind: str, count: int, start: int = 0) -> tuple[Entry, ...]:
    return tuple(Entry(f"{kind}{i}", "team", kind, False, start + i, "", 1.0) for i in range(count))


def vector() -> Results:
    """The example of the rules: N=4, two attacks, one targeted attack, two defenses."""
    truth, target = np.array([10, 20, 30, 40], np.int32), np.array([11, 21, 31, 41], np.int32)
    produced = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]], bool)
    labels = np.array([
        [[10, 99, 30, 99], [10, 20, 99, NONE]],
        [[10, 20, 99, NONE], [99, 99, 30, NONE]],
        [[11, 20, 99, 40], [11, 21, 30, 41]],
    ], np.int32)
    attacks = (
        Entry("A1", "", "attack", False, 0, ""), Entry("A2", "", "attack", False, 1, ""),
        Entry("T1", "", "targeted_attack", False, 2, ""),
    )
    return complete(
        attacks, (Entry("D1", "", "defense", False, 3, ""), Entry("D2", "", "defense", False, 4, "")),
        truth=truth, target=target, produced=produced,
        codes=codes_from_labels(labels, truth, target, produced[:, None]),
        clean_codes=codes_from_labels(np.array([[10, 20, 30, 40], [10, 20, 1, NONE]], np.int32), truth, target),
    )


def by_name(results: Results, view: View, resamples: int = 0) -> dict[str, tuple[TrackScores, int]]:
    found = {}
    for track, scores in score_tracks(results, tally(results), view, resamples).items():
        side = results.defenses if track == "defense" else results.attacks
        found.update({side[member].name: (scores, place) for place, member in enumerate(scores.members)})
    return found


VECTOR = [
    (View.NIPS2017, {"D1": (4, 4 / 8), "D2": (3, 3 / 8), "A1": (2, 2 / 4), "A2": (1, 1 / 4), "T1": (1, 1 / 4)}),
    (View.STANDARD, {"D1": (6, 6 / 11), "D2": (4, 4 / 11), "A1": (4, 4 / 8), "A2": (3, 3 / 8), "T1": (4, 4 / 8)}),
    (View.TOOLKIT, {"D1": (6, 6 / 12), "D2": (4, 4 / 12), "A1": (4, 4 / 8), "A2": (5, 5 / 8), "T1": (4, 4 / 8)}),
]


@pytest.mark.parametrize(("view", "expected"), VECTOR, ids=[view for view, _ in VECTOR])
def test_the_rules_test_vector(view: View, expected: dict[str, tuple[int, float]]) -> None:
    found = by_name(vector(), view)
    assert {name: (scores.raw[at], scores.score[at]) for name, (scores, at) in found.items()} == expected


def test_the_rules_worst_scores_and_their_opponents() -> None:
    found = by_name(vector(), View.NIPS2017)
    worst = {name: (scores.worst[at], scores.worst_opponent[at]) for name, (scores, at) in found.items()}
    # D1 does as badly against A1 as against T1: the earlier one is named. D2 (position 1) never counts for an attack.
    assert worst == {"D1": (0.5, 0), "D2": (0.25, 2), "A1": (0.5, 0), "A2": (0.25, 0), "T1": (0.25, 0)}


def test_counted_opponents_of_the_vector() -> None:
    attacks, defenses = counted(View.NIPS2017, tally(vector()))
    assert attacks.tolist() == [True, False, True]
    assert defenses.tolist() == [True, False]


@pytest.mark.parametrize(("track", "view", "share"), [
    ("attack", View.STANDARD, 1), ("attack", View.NIPS2017, 0), ("attack", View.TOOLKIT, 1), ("targeted_attack", View.STANDARD, 0),
    ("targeted_attack", View.TOOLKIT, 0), ("defense", View.STANDARD, 0), ("defense", View.NIPS2017, 0),
])
def test_what_images_without_a_label_earn_follows_from_the_formula(track: str, view: View, share: int) -> None:
    pairs = tally(vector()).pairs
    assert pairs.unlabelled.any()
    assert np.array_equal(unlabelled_earned(pairs, track, view), share * pairs.unlabelled)


def test_scores_of_pairs_add_up_to_the_track_scores() -> None:
    counts = tally(vector())
    for track, scores in score_tracks(vector(), counts, resamples=0).items():
        if detects(track):
            continue
        pairs = pair_scores(counts.pairs, track)
        pairs = (pairs.T if consumes(track) else pairs)[scores.members]
        assert np.array_equal(scores.worst, np.nanmin(pairs, axis=1))


def test_means_leave_out_what_is_not_known() -> None:
    assert mean_scores(np.array([[0.5, np.nan, 0.25], [np.nan] * 3])).tolist() == [0.375, -1.0]


def test_clean_accuracy_counts_missing_labels_as_wrong() -> None:
    counts = tally(vector())
    assert clean_accuracy(counts).tolist() == [1.0, 0.5]


# The slow oracle -----------------------------------------------------------------------------------------------------


def settled(r: Results, a: int, d: int, i: int) -> bool:
    return bool(r.run_done[a, d, r.batch[i]])


def verdict(r: Results, a: int, d: int, i: int) -> tuple[bool, bool, bool, bool]:
    """Produced, labelled, correct, hit of one image whose run has ended."""
    if not r.produced[a, i]:
        return False, False, False, False
    code = int(codes_of(r)[a, d, i])
    return True, bool(code & 1), bool(code & 2), bool(code & 4)


def star(r: Results) -> tuple[list[int], list[int]]:
    """X* and D* among the runs that have ended."""
    images, attacks, defenses = range(r.images), range(len(r.attacks)), range(len(r.defenses))
    x_star = [a for a in attacks if all(r.produced[a, i] for i in images if r.attack_done[a, r.batch[i]])]
    d_star = [
        d for d in defenses
        if all(verdict(r, a, d, i)[1] for a in attacks for i in images if settled(r, a, d, i) and r.produced[a, i])
    ]
    return x_star, d_star


def points(r: Results, view: View, kind: str, a: int, d: int) -> tuple[int, int]:
    """What one entry earned and could have earned against one opponent."""
    earned = possible = 0
    for i in range(r.images):
        if not settled(r, a, d, i):
            continue
        produced, labelled, correct, hit = verdict(r, a, d, i)
        wrong = labelled and not correct
        if view is View.STANDARD and kind == "defense":
            earned, possible = earned + correct, possible + produced
        elif view is View.STANDARD:
            earned, possible = earned + (hit if kind == "targeted_attack" else produced and not correct), possible + 1
        elif kind == "defense":
            earned, possible = earned + correct, possible + 1
        elif kind == "targeted_attack":
            earned, possible = earned + hit, possible + 1
        else:
            earned, possible = earned + (wrong if view is View.NIPS2017 else not correct), possible + 1
    return earned, possible


def slow_score(r: Results, view: View, kind: str, member: int) -> tuple[int, Fraction | None, Fraction | None]:
    """Raw score, normalised score, worst score."""
    x_star, d_star = star(r) if view is View.NIPS2017 else (range(len(r.attacks)), range(len(r.defenses)))
    if kind == "defense":
        met = [points(r, view, kind, a, member) for a in x_star]
    else:
        met = [points(r, view, kind, member, d) for d in d_star]
    raw, possible = sum(e for e, _ in met), sum(p for _, p in met)
    worst = min((Fraction(e, p) for e, p in met if p), default=None)
    return raw, Fraction(raw, possible) if possible else None, worst


@st.composite
def tournaments(draw: st.DrawFn) -> Results:
    plain, targeted, defenses = draw(st.integers(0, 3)), draw(st.integers(0, 2)), draw(st.integers(0, 3))
    images, batches, attacks = draw(st.integers(1, 6)), draw(st.integers(1, 3)), plain + targeted
    codes = draw(hnp.arrays(np.uint8, (attacks, defenses, images), elements=st.sampled_from([0, 1, 3, 5])))
    # Most draws are nearly complete, or nips2017's sets would always be empty.
    mostly = st.sampled_from([True, True, True, False])
    attack_done = draw(hnp.arrays(np.bool_, (attacks, batches), elements=mostly))
    return Results(
        attacks=entries("attack", plain) + entries("targeted_attack", targeted, plain),
        defenses=entries("defense", defenses, attacks),
        truth=np.zeros(images, np.int32), target=np.ones(images, np.int32),
        batch=draw(hnp.arrays(np.int32, images, elements=st.integers(0, batches - 1))),
        produced=draw(hnp.arrays(np.bool_, (attacks, images), elements=mostly)),
        verdicts=Verdicts.of(codes),
        attack_done=attack_done,
        run_done=draw(hnp.arrays(np.bool_, (attacks, defenses, batches), elements=mostly)) & attack_done[:, None],
        clean_codes=np.zeros((defenses, images), np.uint8), clean_done=np.ones((defenses, batches), np.bool_),
    )


def same(number: float, exact: Fraction | None) -> bool:
    return math.isnan(number) if exact is None else number == exact.numerator / exact.denominator


@settings(max_examples=300)
@given(tournaments(), st.sampled_from(list(View)))
def test_every_score_equals_the_slow_oracles(results: Results, view: View) -> None:
    for track, scores in score_tracks(results, tally(results), view, resamples=0).items():
        if detects(track):
            continue
        exact = [slow_score(results, view, track, int(member)) for member in scores.members]
        assert scores.raw.tolist() == [raw for raw, _, _ in exact]
        assert all(same(number, score) for number, (_, score, _) in zip(scores.score, exact, strict=True))
        assert all(same(number, worst) for number, (_, _, worst) in zip(scores.worst, exact, strict=True))
        values = [Fraction(-1) if score is None else score for _, score, _ in exact]
        assert scores.rank.tolist() == [1 + sum(other > mine for other in values) for mine in values]


@settings(max_examples=200)
@given(tournaments(), st.sampled_from(list(View)))
def test_the_named_worst_opponent_has_the_worst_score(results: Results, view: View) -> None:
    for track, scores in score_tracks(results, tally(results), view, resamples=0).items():
        for place, member in enumerate(scores.members):
            opponent = int(scores.worst_opponent[place])
            if opponent < 0:
                assert math.isnan(scores.worst[place])
                continue
            pair = (opponent, int(member)) if track == "defense" else (int(member), opponent)
            earned, possible = points(results, view, track, *pair)
            assert scores.worst[place] == earned / possible


@settings(max_examples=150)
@given(tournaments(), st.sampled_from(list(View)))
def test_counts_per_image_add_up_to_counts_per_pair(results: Results, view: View) -> None:
    counts = tally(results)
    attacks, defenses = counted(view, counts)
    by_attack, by_defense = image_cells(results, attacks, defenses)
    for name in ("images", "produced", "labelled", "correct", "target_hit", "wrong", "unlabelled", "not_correct"):
        pairs = getattr(counts.pairs, name)
        assert getattr(by_attack, name).sum(1).tolist() == pairs[:, defenses].sum(1).tolist()
        assert getattr(by_defense, name).sum(1).tolist() == pairs[attacks].sum(0).tolist()


@settings(max_examples=200)
@given(tournaments(), st.data())
def test_abstaining_does_to_others_exactly_what_answering_wrong_does(results: Results, data: st.DataObject) -> None:
    """Any wrong answers left out: every score, worst score and rank of everybody stays, in the standard view."""
    codes = codes_of(results)
    left_out = data.draw(hnp.arrays(np.bool_, codes.shape)) & (codes == LABELLED)
    silent = replace(results, verdicts=Verdicts.of(np.where(left_out, np.uint8(0), codes)))
    answered, abstained = (score_tracks(r, tally(r), resamples=20) for r in (results, silent))
    for track in TRACKS:
        for field in ("raw", "score", "worst", "rank"):
            np.testing.assert_array_equal(getattr(answered[track], field), getattr(abstained[track], field))
        np.testing.assert_array_equal(answered[track].intervals.score_low, abstained[track].intervals.score_low)
        np.testing.assert_array_equal(answered[track].intervals.rank_high, abstained[track].intervals.rank_high)


def test_a_defense_that_abstains_does_not_lower_a_rival() -> None:
    """Two defenses of 100 images, ninety left unlabelled: until 0.1.0 the rival's attack fell from .500 to .091."""
    codes = np.full((1, 2, 100), 3, np.uint8)
    codes[0, 0] = LABELLED
    errs, abstains = codes.copy(), codes.copy()
    abstains[0, 0, 10:] = 0
    scores = [score_tracks(r, tally(r), resamples=0) for r in (
        complete(entries("attack", 1), entries("defense", 2, 1), truth=np.zeros(100, np.int32), target=np.ones(100, np.int32),
                 produced=np.ones((1, 100), bool), codes=c, clean_codes=np.full((2, 100), 3, np.uint8)) for c in (errs, abstains))]
    assert [s["attack"].score.tolist() for s in scores] == [[0.5], [0.5]]
    assert [s["defense"].score.tolist() for s in scores] == [[0.0, 1.0], [0.0, 1.0]]


@settings(max_examples=200)
@given(tournaments(), st.sampled_from(list(View)))
def test_a_run_without_a_result_is_counted_neither_way(results: Results, view: View) -> None:
    """Whatever lies at images of runs that have no result (yet, or through the host's fault) changes nothing."""
    absent = ~results.run_done[:, :, results.batch]
    codes = codes_of(results)
    filled = [replace(results, verdicts=Verdicts.of(np.where(absent, np.uint8(code), codes))) for code in (0, 1, 3)]
    first, *others = (score_tracks(r, tally(r), view, resamples=0) for r in filled)
    for other in others:
        for track in TRACKS:
            np.testing.assert_array_equal(first[track].score, other[track].score)
            np.testing.assert_array_equal(first[track].raw, other[track].raw)


@settings(max_examples=100)
@given(tournaments(), st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(results: Results, random) -> None:
    order = list(range(results.images))
    random.shuffle(order)
    shuffled = Results(
        results.attacks, results.defenses, results.truth[order], results.target[order], results.batch[order],
        results.produced[:, order], Verdicts.of(codes_of(results)[:, :, order]), results.attack_done, results.run_done,
        results.clean_codes[:, order], results.clean_done,
    )
    for view in View:
        before = score_tracks(results, tally(results), view, resamples=0)
        after = score_tracks(shuffled, tally(shuffled), view, resamples=0)
        for track in TRACKS:
            np.testing.assert_array_equal(before[track].score, after[track].score)
            np.testing.assert_array_equal(before[track].worst, after[track].worst)


def test_images_of_runs_that_have_not_ended_count_for_nobody() -> None:
    r = vector()
    codes, produced = np.tile(codes_of(r), 2), np.tile(r.produced, 2)
    partial = Results(
        r.attacks, r.defenses, np.tile(r.truth, 2), np.tile(r.target, 2), np.repeat(np.arange(2, dtype=np.int32), 4),
        produced, Verdicts.of(codes), np.array([[True, False]] * 3), np.array([[[True, False]] * 2] * 3),
        np.tile(r.clean_codes, 2), np.array([[True, False]] * 2),
    )
    for view in View:
        whole, half = by_name(r, view), by_name(partial, view)
        assert {n: (s.raw[k], s.score[k], s.worst[k]) for n, (s, k) in whole.items()} == {
            n: (s.raw[k], s.score[k], s.worst[k]) for n, (s, k) in half.items()}


# Ranks and ties ------------------------------------------------------------------------------------------------------


def test_equal_scores_share_a_rank_and_nothing_scored_comes_last() -> None:
    assert ranks(np.array([0.5, np.nan, 0.7, 0.5, 0.1])).tolist() == [2, 5, 1, 2, 4]


def test_ties_are_shown_by_median_time_then_by_submission() -> None:
    times = [None, 2.0, 1.0, 2.0]
    tied = [Entry(str(i), "", "attack", False, 9 - i, "", time) for i, time in enumerate(times)]
    assert display_order(np.full(4, 0.5), tied) == [2, 3, 1, 0]


# Intervals -----------------------------------------------------------------------------------------------------------


def random_results(seed: int, images: int = 200) -> Results:
    generator = np.random.default_rng(seed)
    codes = generator.choice(np.array([0, 1, 3, 3, 3, 5], np.uint8), size=(3, 2, images))
    produced = generator.random((3, images)) > 0.1
    return complete(
        entries("attack", 2) + entries("targeted_attack", 1, 2), entries("defense", 2, 3),
        truth=np.zeros(images, np.int32), target=np.ones(images, np.int32), produced=produced, codes=codes,
        clean_codes=np.full((2, images), 3, np.uint8),
    )


def test_a_resample_is_the_score_of_the_resampled_tournament() -> None:
    """The matrix product equals resampling the arrays themselves and scoring anew."""
    results, resamples, seed = random_results(1, images=30), 20, 5
    cells, _ = image_cells(results, np.ones(3, bool), np.ones(2, bool))
    fast = resampled_scores(cells.not_correct, cells.images, resamples, seed)
    drawn = np.random.default_rng(seed).integers(0, 30, size=(resamples, 30))
    for row, index in enumerate(drawn):
        again = complete(
            results.attacks, results.defenses, truth=results.truth[index], target=results.target[index],
            produced=results.produced[:, index], codes=codes_of(results)[:, :, index],
            clean_codes=results.clean_codes[:, index],
        )
        np.testing.assert_array_equal(fast[row, :2], score_tracks(again, tally(again), resamples=0)["attack"].score)


def test_intervals_hold_the_point_and_are_the_same_each_time() -> None:
    results = random_results(2)
    for view in View:
        first, second = (score_tracks(results, tally(results), view, 300) for _ in range(2))
        for track in TRACKS:
            ends, again = first[track].intervals, second[track].intervals
            known = ~np.isnan(first[track].score)
            assert (ends.score_low[known] <= first[track].score[known]).all()
            assert (ends.score_high[known] >= first[track].score[known]).all()
            assert (ends.rank_low <= first[track].rank).all()
            assert (ends.rank_high >= first[track].rank).all()
            np.testing.assert_array_equal(ends.score_low, again.score_low)


def test_the_interval_of_a_proportion_is_the_binomial_one() -> None:
    images = 4000
    earned = (np.arange(images) < images * 0.3).astype(np.int64)[None]
    scores = resampled_scores(earned, np.ones((1, images), np.int64))
    ends = intervals(scores, np.array([0.3]), np.array([images]))
    half = 1.96 * math.sqrt(0.3 * 0.7 / images)
    assert ends.score_low[0] == pytest.approx(0.3 - half, abs=0.001)
    assert ends.score_high[0] == pytest.approx(0.3 + half, abs=0.001)
    assert (ends.rank_low[0], ends.rank_high[0]) == (1, 1)


def test_rank_intervals_tell_close_entries_from_distant_ones() -> None:
    generator = np.random.default_rng(3)
    chance = np.array([0.9, 0.5, 0.5, 0.1])
    earned = (generator.random((4, 300)) < chance[:, None]).astype(np.int64)
    possible = np.ones_like(earned)
    ends = intervals(resampled_scores(earned, possible), earned.mean(1), np.full(4, 300))
    assert ends.rank_low.tolist() == [1, 2, 2, 4]
    assert ends.rank_high.tolist() == [1, 3, 3, 4]


def test_float32_sums_are_left_when_they_would_not_be_exact() -> None:
    earned = np.array([[1 << 23, (1 << 23) + 1]], np.int64)
    assert resampled_scores(earned, earned, 50).tolist() == [[1.0]] * 50


@settings(max_examples=60)
@given(tournaments(), st.sampled_from(list(View)))
def test_intervals_never_fail_on_odd_tournaments(results: Results, view: View) -> None:
    for scores in score_tracks(results, tally(results), view, resamples=10).values():
        assert scores.intervals is not None
        assert np.isnan(scores.intervals.score_low).tolist() == np.isnan(scores.score).tolist()


# Input ---------------------------------------------------------------------------------------------------------------


def test_codes_from_labels() -> None:
    truth, target = np.array([1, 2, 3, 4], np.int32), np.array([5, 6, 7, 8], np.int32)
    labels = np.array([[1, 6, 9, NONE], [1, 6, 9, 4]], np.int32)
    produced = np.array([True, True, False, True])
    assert codes_from_labels(labels, truth, target, produced).tolist() == [[3, 5, 0, 0], [3, 5, 0, 3]]


def test_arrays_that_do_not_fit_are_refused() -> None:
    r = vector()
    with pytest.raises(ValueError, match=r"verdicts has shape \(3, 2, 3\)"):
        complete(r.attacks, r.defenses, truth=r.truth, target=r.target, produced=r.produced,
                 codes=codes_of(r)[:, :, :3], clean_codes=r.clean_codes)


# Bits ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.integers(0, 200), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_adding_planes_counts_bits(opponents: int, words: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    # Columns from all zeros to all ones: carries run through every digit.
    bits = generator.random((2, opponents, 64 * words)) < generator.random(64 * words)
    planes = np.packbits(bits, axis=-1, bitorder="little")
    digits = add_planes(planes)
    assert len(digits) <= opponents.bit_length()
    counts = sum((np.unpackbits(digit, axis=-1, bitorder="little").astype(int) << place for place, digit in enumerate(digits)),
                 np.zeros((2, 64 * words), int))
    assert np.array_equal(counts, bits.sum(1))
    assert np.array_equal(count_bits(planes), bits.sum(-1))


@pytest.mark.parametrize(("sizes", "row_bytes"), [((12, 12, 5), 2), ((100, 100, 37), 13), ((8,), 1), ((3, 1), 1)])
def test_counts_per_image_where_batches_are_padded(sizes, row_bytes) -> None:
    generator, images = np.random.default_rng(7), sum(sizes)
    layout = Layout.of_batches(sizes, row_bytes)
    assert layout.images == images
    bits = generator.random((3, 5, 40, images)) < 0.4
    produced, batch = generator.random((5, images)) < 0.8, np.repeat(np.arange(len(sizes)), sizes)
    run_done = generator.random((5, 40, len(sizes))) < 0.7
    results = Results(
        entries("attack", 5), entries("defense", 40, 5), truth=np.zeros(images, np.int32), target=np.ones(images, np.int32),
        batch=batch.astype(np.int32), produced=produced, verdicts=Verdicts(layout, layout.pack(bits)),
        attack_done=np.ones((5, len(sizes)), bool), run_done=run_done, clean_codes=np.zeros((40, images), np.uint8),
        clean_done=np.ones((40, len(sizes)), bool))
    done = run_done[:, :, batch]
    counting = [done, done & produced[:, None], *(bits & done & produced[:, None])]
    attacks, defenses = generator.random(5) < 0.6, generator.random(40) < 0.6
    by_attack, by_defense = image_cells(results, attacks, defenses)
    pairs = tally(results).pairs
    for name, layer in zip(("images", "produced", "labelled", "correct", "target_hit"), counting, strict=True):
        assert np.array_equal(getattr(by_attack, name), layer[:, defenses].sum(1)), name
        assert np.array_equal(getattr(by_defense, name), layer[attacks].sum(0)), name
        assert np.array_equal(getattr(pairs, name), layer.sum(-1)), name


def slow_ranks(scores: np.ndarray) -> list[int]:
    known = [-math.inf if math.isnan(score) else score for score in scores]
    return [1 + sum(other > mine for other in known) for mine in known]


@settings(max_examples=100)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(0, 12)),
                  elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan, -0.0])))
def test_ranks_of_many_rows_are_those_of_each(scores: np.ndarray) -> None:
    assert ranks(scores).tolist() == [slow_ranks(row) for row in scores]
