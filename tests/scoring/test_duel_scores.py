"""Scores of duels and robust accuracy: cases by hand, and a plain slow implementation of their sentences."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from statistics import median

import numpy as np
import pytest

from harness.scoring import CORRECT, LABELLED, TARGET, Basis, Entry, Queries, Results, View, complete, score_round, tally
from harness.scoring.duel_scores import duel_scores, query_curve
from harness.scoring.duels import STEP, Duels
from harness.scoring.leaderboard import Row, build_leaderboard
from harness.scoring.robust import robust
from harness.tracks import ATTACK, TARGETED_ATTACK, Access, Threat
from tests.scoring.duels import duels, entry


def round_of(one: Duels, *, clean: str = "....", black: tuple[str, ...] = (), max_clean: float | None = None) -> Results:
    """One or two defenses ``d``, ``e`` (as many as the clean texts' lines say); texts as ``duels`` takes them."""
    lines = clean.split()
    codes = duels([entry(str(at)) for at in range(max(1, len(black) // len(lines)))], [str(at) for at in range(len(lines))],
                  *(black or ["." * len(lines[0])] * len(lines)))
    shown = duels([entry("clean")], [str(at) for at in range(len(lines))], *lines).codes[0]
    attacks = tuple(entry(f"b{at}", access=Access.BLACK_BOX) for at in range(len(black) // len(lines)))
    truth = np.zeros(len(lines[0]), np.int32)
    found = complete(
        attacks, tuple(Entry(name, "", "defense", baseline=False, order=9, digest=name) for name in "de"[:len(lines)]),
        truth=truth, target=truth + 1, produced=np.logical_or.reduce(codes.produced, axis=1)[:len(attacks)],
        codes=codes.codes[:len(attacks)], clean_codes=shown)
    return replace(found, duels=(one,), max_clean_rejections=max_clean)


BATCH = np.zeros(4, np.int32)


@pytest.mark.parametrize(("case", "rows", "score", "worst", "opponent", "raw"), [
    ("the mean over opponents", ("ww..", "www."), Fraction(5, 8), 0.5, 0, 5),
    ("a closed pair counts for nobody", ("ww..", "closed"), Fraction(1, 2), 0.5, 0, 2),
    ("what was left out is not earned", ("w---", "w-.."), Fraction(1, 4), 0.25, 0, 2),
    ("no label and the target class fool as well", ("wnt.", "...."), Fraction(3, 8), 0.0, 1, 3),
    ("a rejection does not", ("rrrr", "wrrr"), Fraction(1, 8), 0.0, 0, 1),
    ("what the defense lost counts for nobody", ("w!!!", "w.!."), Fraction(2, 3), 1 / 3, 1, 2),
    ("each opponent weighs the same", ("w!!!", "...."), Fraction(1, 2), 0.0, 1, 1),
    ("a duel that is not done", ("w...", "????"), Fraction(1, 4), 0.25, 0, 1),
    ("nothing is done", ("????", "closed"), None, None, -1, 0),
])
def test_an_attack_s_score(case: str, rows: tuple[str, ...], score: Fraction | None, worst: float | None, opponent: int,
                           raw: int) -> None:
    found = duel_scores(duels([entry("a")], ["d", "e"], *rows), ATTACK.name, BATCH)
    assert found.score[0] == pytest.approx(np.nan if score is None else float(score), nan_ok=True)
    assert found.worst[0] == pytest.approx(np.nan if worst is None else worst, nan_ok=True)
    assert (found.worst_opponent[0], found.raw is not None and found.raw[0]) == (opponent, raw)


def test_a_targeted_attack_earns_the_target_class_alone() -> None:
    both = duels([entry("t", TARGETED_ATTACK.name), entry("a")], ["d"], "wwtn", "wwtn")
    assert duel_scores(both, TARGETED_ATTACK.name, BATCH).score.tolist() == [0.25]
    assert duel_scores(both, ATTACK.name, BATCH).score.tolist() == [1.0]
    assert duel_scores(both, ATTACK.name, BATCH).members.tolist() == [1]


@pytest.mark.parametrize(("case", "clean", "rows", "expected"), [
    ("the union over attacks, not their mean", "....", ("w...", ".w..", "..w."), 1 / 4),
    ("wrong when clean", "w...", ("....",), 3 / 4),
    ("an attack that left nothing does no harm", "....", ("----",), 1.0),
    ("no label is wrong", "....", ("n...",), 3 / 4),
    ("a failure of its own is wrong", "....", ("!...",), 3 / 4),
    ("a closed pair counts for nobody", "....", ("w...", "closed"), 3 / 4),
    ("open to nobody", "....", ("closed",), None),
    ("images of a duel that is not done do not count", "....", ("w...", "????"), None),
])
def test_robust_accuracy_over_duels(case: str, clean: str, rows: tuple[str, ...], expected: float | None) -> None:
    attacks = [entry(str(at)) for at in range(len(rows))]
    one = duels(attacks, ["d"], *rows) if any(row != "closed" for row in rows) else replace(
        duels(attacks, ["d"], "...."), open=np.zeros((1, 1), np.bool_))
    results = round_of(one, clean=clean)
    found = robust(Basis(results, tally(results)))
    assert found[Access.WHITE_BOX].share[0] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)
    assert Access.BLACK_BOX not in found


@pytest.mark.parametrize(("clean", "max_clean", "expected"), [
    ("....", 0.25, 0.75), ("r...", 0.25, 0.5), ("rr..", 0.25, 0.0), ("....", None, 0.0)])
def test_a_rejection_holds_where_the_defense_rejects_few_clean_images(clean: str, max_clean: float | None, expected: float) -> None:
    """What it rejects of the clean images is wrong all the same; without the rule there are no rejections."""
    results = round_of(duels([entry("a")], ["d"], "rrrw"), clean=clean, black=("rrrw",), max_clean=max_clean)
    found = robust(Basis(results, tally(results)))
    assert found[Access.WHITE_BOX].share.tolist() == [expected]
    assert found[Access.BLACK_BOX].share.tolist() == [expected]


def random_round(seed: int) -> tuple[Results, Duels]:
    """Three attacks of each kind, two defenses, three batches of which some are not done."""
    rng = np.random.default_rng(seed)
    pairs, images, batches = (3, 2), 12, 3

    def often(*shape: int) -> np.ndarray:
        return rng.random(shape) < .9

    codes = rng.choice(np.array([0, LABELLED, LABELLED | CORRECT, LABELLED | TARGET, TARGET], np.uint8), (*pairs, images))
    one = Duels(
        access=Access.WHITE_BOX, attacks=tuple(entry(f"a{at}") for at in range(3)), defenses=("d", "e"), codes=codes,
        open=often(*pairs), done=often(*pairs, batches), counted=often(*pairs, images), produced=often(*pairs, images))
    black = complete(
        tuple(entry(f"b{at}", access=Access.BLACK_BOX) for at in range(3)),
        tuple(Entry(name, "", "defense", baseline=False, order=9, digest=name) for name in ("d", "e")),
        truth=np.zeros(images, np.int32), target=np.ones(images, np.int32), batch=np.repeat(np.arange(3, dtype=np.int32), 4),
        produced=often(3, images), codes=rng.permuted(codes, axis=2),
        clean_codes=rng.choice(np.array([TARGET, LABELLED, LABELLED | CORRECT], np.uint8), (2, images), p=(.1, .3, .6)))
    return replace(black, duels=(one,), max_clean_rejections=.1, run_done=often(*pairs, batches), clean_done=often(2, batches)), one


def held(results: Results, one: Duels, defense: int, image: int, credit: bool) -> tuple[bool | None, bool | None]:
    """Whether a defense held an image against all black and all white boxes; None where that is not known."""
    batch = results.batch[image]

    def against(met: list[int], done: np.ndarray, produced: np.ndarray, codes: list[int]) -> bool | None:
        if not met or not results.clean_done[defense, batch] or not all(done[attack] for attack in met):
            return None
        answers = [codes[attack] for attack in met if produced[attack]]
        return all(bool(code & CORRECT) or (code == TARGET and credit) for code in answers) and \
            bool(results.clean_codes[defense, image] & CORRECT)

    return (
        against([0, 1, 2], results.run_done[:, defense, batch], results.produced[:, image],
                [int(results.verdicts.codes(attack)[defense, image]) for attack in range(3)]),
        against(np.flatnonzero(one.open[:, defense]).tolist(), one.done[:, defense, batch], one.produced[:, defense, image],
                one.codes[:, defense, image].tolist()))


@pytest.mark.parametrize("seed", range(20))
def test_robust_accuracy_is_what_its_sentence_says(seed: int) -> None:
    results, one = random_round(seed)
    basis = Basis(results, tally(results))
    clean = basis.counts.clean
    for defense in range(2):
        credit = bool(clean.rejected[defense] <= .1 * clean.images[defense]) and clean.images[defense] > 0
        images = [held(results, one, defense, image, credit) for image in range(12)]
        for access, known in zip((Access.BLACK_BOX, Access.WHITE_BOX), zip(*images, strict=True), strict=True):
            counted = [each for each in known if each is not None]
            expected = sum(counted) / len(counted) if counted else np.nan
            assert robust(basis)[access].share[defense] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("seed", range(20))
def test_an_attack_s_score_is_what_its_sentence_says(seed: int) -> None:
    results, one = random_round(seed)
    for attack, score in enumerate(duel_scores(one, ATTACK.name, results.batch).score.tolist()):
        shares = []
        for defense in np.flatnonzero(one.open[attack]).tolist():
            asked = [image for image in range(12) if one.counted[attack, defense, image]
                     and one.done[attack, defense, results.batch[image]]]
            won = [image for image in asked if one.produced[attack, defense, image]
                   and not one.codes[attack, defense, image] & CORRECT and one.codes[attack, defense, image] != TARGET]
            shares += [len(won) / len(asked)] if asked else []
        assert score == pytest.approx(np.mean(shares) if shares else np.nan, nan_ok=True)


def queried(threat: Threat = Threat.L2, grey: bool = True) -> Duels:
    """Ten queries an image; image 0 by the first, 1 by the fourth, then closer; 2 lost to a failure; 3 never."""
    steps = np.array([(0, 0, 0, 1, 0), (0, 0, 1, 4, 30), (0, 0, 1, 9, 10)], STEP)
    queries = Queries(budget=10, charged=np.full((1, 1, 4), 10, np.int32), steps=steps,
                      grey=np.array([100, 101, 102, 103], np.int64) if grey else None)
    return duels([entry("q", access=Access.QUERY, threat=threat)], ["d"], "ww!.", access=Access.QUERY, queries=queries)


def test_medians_count_failures_as_the_budget_and_as_mid_grey() -> None:
    found = duel_scores(queried(), ATTACK.name, BATCH)
    assert found.score.tolist() == [2 / 3]
    assert found.figures["median_queries"].tolist() == [median([1, 4, 10])]
    assert found.figures["median_distance"].tolist() == [median([0, 10, 103])]
    for other in (queried(Threat.LINF), queried(grey=False)):
        figures = duel_scores(other, ATTACK.name, BATCH).figures
        assert figures["median_queries"].tolist() == [4.0]
        assert np.isnan(figures["median_distance"]).all()


def test_the_curve_ends_in_the_score_and_never_falls() -> None:
    curve = query_curve(queried(), 0, BATCH)
    assert [(point.queries, round(point.earned, 3), point.distance) for point in curve] == [
        (queries, round((1 + (queries >= 4)) / 3, 3), 101.0 if queries < 4 else 30.0 if queries < 9 else 10.0)
        for queries in range(1, 11)]
    assert all(point.distance is None for point in query_curve(queried(grey=False), 0, BATCH))
    assert query_curve(duels([entry("a")], ["d"], "ww.."), 0, BATCH) == ()


def test_intervals_are_those_of_the_mean_of_ratios_and_ranks_are_within_an_access() -> None:
    rng = np.random.default_rng(5)
    images = 200
    rows = ["".join(rng.choice(["w", "."], images, p=(share, 1 - share))) for share in (.9, .8, .2, .1)]
    one = duels([entry("strong"), entry("weak")], ["d", "e"], *rows)
    clean = "." * images
    results = round_of(one, clean=f"{clean}\n{clean}", black=(rows[2], rows[3]))
    scores = score_round(results, tally(results), [View.STANDARD], resamples=400)
    found = scores.duels[Access.WHITE_BOX][ATTACK.name]
    assert found.intervals is not None
    assert (found.intervals.score_low < found.score).all()
    assert (found.score < found.intervals.score_high).all()
    # The standard error of the mean of two shares of the same images.
    won = np.array([[list(row) for row in rows[2 * attack: 2 * attack + 2]] for attack in range(2)]) == "w"
    error = won.mean(1).std(1) / np.sqrt(images)
    np.testing.assert_allclose(found.intervals.score_high - found.intervals.score_low, 2 * 1.96 * error, rtol=.15)
    assert found.intervals.rank_high.tolist() == [1, 2]
    assert [scores.robust[access].ends is not None for access in (Access.BLACK_BOX, Access.WHITE_BOX)] == [True, True]
    alone = score_round(replace(results, duels=()), tally(results), [View.STANDARD], resamples=400)
    np.testing.assert_array_equal(alone.views[View.STANDARD]["defense"].score, scores.views[View.STANDARD]["defense"].score)


def test_rows_of_the_leaderboard_have_their_access_and_defenses_what_they_hold() -> None:
    one = duels([entry("a"), entry("t", TARGETED_ATTACK.name)], ["d", "e"], "ww..", "closed", "tw..", "....")
    results = round_of(one, clean="....\n...w", black=("w...", "...."))
    for view in View:
        board = build_leaderboard(results, view, resamples=20)
        assert [(row.name, row.access, row.rank, row.score) for row in board.tracks["attack"]] == [
            ("b0", "black_box", 1, board.tracks["attack"][0].score), ("a", "white_box", 1, 0.5)]
        assert [(row.name, row.access, row.score) for row in board.tracks["targeted_attack"]] == [("t", "white_box", 0.125)]
        held = {row.name: row.robust for row in board.tracks["defense"]}
        assert held == {"d": {"black_box": 0.75, "white_box": 0.5}, "e": {"black_box": 0.75, "white_box": 0.75}}
        by_access = {row.name: row.by_access and row.by_access["white_box"] for row in board.tracks["defense"]}
        assert by_access == {"d": 0.5, "e": 1.0}
        data = board.to_json()["tracks"]
        assert {track: tuple(map(Row.from_json, rows)) for track, rows in data.items()} == board.tracks
        assert "robust" not in data["attack"][0]
        assert "access" not in data["defense"][0]
