"""Defenses that may answer "adversarial, no class": what it earns them, what it costs attacks, what turning the rule on costs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.config import Rules, load
from harness.errors import ConfigError
from harness.formats.result_csv import NO_LABEL, REJECTED
from harness.sandbox.process import ProcessSandbox
from harness.scoring import CORRECT, LABELLED, TARGET, Entry, Results, View, complete, tally
from harness.scoring.formula import Basis, formula_of
from harness.scoring.leaderboard import build_leaderboard
from harness.scoring.records import comparison, verdict_planes
from harness.scoring.tally import image_cells
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Tournament
from tests.e2e import make

NOTHING, RIGHT, WRONG, REJECTS = 0, int(LABELLED | CORRECT), int(LABELLED), int(TARGET)
HIT = int(LABELLED | TARGET)


def entry(name: str, kind: str, order: int) -> Entry:
    return Entry(name, "", kind, False, order, "")


def contest(codes: np.ndarray, clean: np.ndarray, max_clean: float | None, produced: np.ndarray | None = None) -> Results:
    """uint8[A, D, N] and uint8[D, N]; the last attack is a targeted one."""
    attacks, defenses, images = codes.shape
    kinds = ["attack"] * (attacks - 1) + ["targeted_attack"]
    made = complete(
        tuple(entry(f"A{at}", kind, at) for at, kind in enumerate(kinds)),
        tuple(entry(f"D{at}", "defense", attacks + at) for at in range(defenses)),
        truth=np.zeros(images, np.int32), target=np.ones(images, np.int32), codes=codes, clean_codes=clean,
        produced=np.ones((attacks, images), np.bool_) if produced is None else produced)
    return replace(made, max_clean_rejections=max_clean)


def scores(results: Results, view: View = View.STANDARD) -> dict[str, float]:
    """By name."""
    basis, scored = Basis(results, tally(results)), {}
    for track in ("attack", "targeted_attack", "defense"):
        side = formula_of(track).entries(results)
        found = formula_of(track).score(basis, track, view)
        scored |= {side[member].name: score for member, score in zip(found.members.tolist(), found.score.tolist(), strict=True)}
    return scored


ANSWERS = st.sampled_from([NOTHING, RIGHT, WRONG, REJECTS, HIT])


@given(hnp.arrays(np.uint8, (3, 2, 11), elements=ANSWERS), hnp.arrays(np.uint8, (2, 11), elements=ANSWERS),
       hnp.arrays(np.bool_, (3, 11)), st.sampled_from([0.0, 1 / 11, 3 / 11, 1.0]))
def test_scores_are_those_of_the_sentences(codes: np.ndarray, clean: np.ndarray, produced: np.ndarray, most: float) -> None:
    """A rejected image is not fooled; for the defense it is correct where it rejects at most that share of the clean images."""
    produced[:, 0] = True
    found = scores(contest(codes, clean, most, produced))
    asked = produced.sum(1)
    for at, attack in enumerate(codes):
        earns = (HIT,) if at == 2 else (NOTHING, WRONG, HIT)
        earned = sum(int(code in earns) for defense in attack for code, there in zip(defense, produced[at], strict=True) if there)
        assert found[f"A{at}"] == pytest.approx(float(Fraction(earned, 2 * 11)))
    for at in range(2):
        share = Fraction(int((clean[at] == REJECTS).sum()), 11)
        good = {RIGHT, REJECTS} if share <= Fraction(most).limit_denominator(11) else {RIGHT}
        kept = sum(int(code in good) for attack in range(3) for code in codes[attack, at][produced[attack]].tolist())
        assert found[f"D{at}"] == pytest.approx(float(Fraction(kept, int(asked.sum()))))


@given(hnp.arrays(np.uint8, (3, 2, 11), elements=ANSWERS), hnp.arrays(np.uint8, (2, 11), elements=ANSWERS))
def test_counts_per_image_are_those_per_pair(codes: np.ndarray, clean: np.ndarray) -> None:
    results = contest(codes, clean, 0.2)
    pairs = tally(results).pairs
    attacked, defended = image_cells(results, np.ones(3, np.bool_), np.ones(2, np.bool_))
    for name in ("images", "produced", "labelled", "correct", "target_hit", "rejected"):
        assert getattr(attacked, name).sum(1).tolist() == getattr(pairs, name).sum(1).tolist()
    for name in ("labelled", "correct", "target_hit", "rejected", "credited"):
        assert getattr(defended, name).sum(1).tolist() == getattr(pairs, name).sum(0).tolist()


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize(("rejected", "score"), [(0, 1.0), (5, 1.0), (6, 0.0), (100, 0.0)])
def test_the_line_of_five_percent(view: View, rejected: int, score: float) -> None:
    """It rejects all that is adversarial; of 100 clean images, so many."""
    clean = np.full((1, 100), RIGHT, np.uint8)
    clean[0, :rejected] = REJECTS
    found = scores(contest(np.full((2, 1, 100), REJECTS, np.uint8), clean, 0.05), view)
    assert found == {"A0": 0.0, "A1": 0.0, "D0": score}


def test_one_that_rejects_everything_gains_nothing() -> None:
    codes = np.stack([np.full((2, 20), REJECTS, np.uint8), np.full((2, 20), RIGHT, np.uint8)])
    codes[:, 1] = RIGHT
    codes[1, 0] = REJECTS
    clean = np.stack([np.full(20, REJECTS, np.uint8), np.full(20, RIGHT, np.uint8)])
    board = build_leaderboard(contest(codes, clean, 0.05), resamples=10).to_json()
    rows = {row["name"]: row for row in board["tracks"]["defense"]}
    assert (rows["D0"]["score"], rows["D0"]["clean_accuracy"], rows["D0"]["rejected"], rows["D0"]["clean_rejected"]) == (0, 0, 1, 1)
    assert (rows["D1"]["score"], rows["D1"]["rejected"], rows["D1"]["clean_rejected"]) == (1, 0, 0)
    assert rows["D0"]["coverage"] == 1


def test_without_the_rule_there_are_no_shares() -> None:
    board = build_leaderboard(contest(np.full((2, 1, 20), RIGHT, np.uint8), np.full((1, 20), RIGHT, np.uint8), None), resamples=10)
    row, = board.to_json()["tracks"]["defense"]
    assert (row["rejected"], row["clean_rejected"]) == (None, None)


def test_a_rejection_has_bits_of_its_own() -> None:
    given_labels = np.array([REJECTED, 0, 1, 7, NO_LABEL, REJECTED], np.int16)
    truth, target = np.array([0, 0, 0, 0, 0, REJECTED], np.int32), np.array([1, 1, 1, 1, 1, 2], np.int32)
    bits = np.unpackbits(verdict_planes(given_labels, truth, target), axis=-1, bitorder="little")[:, :6]
    assert (bits[0] + 2 * bits[1] + 4 * bits[2]).tolist() == [REJECTS, RIGHT, HIT, WRONG, NOTHING, RIGHT]


def test_turning_the_rule_on_needs_no_run(tmp_path: Path) -> None:
    """Also on records of version 0.1.0, which took -1 for a label."""
    make.tournament(tmp_path, ("attack-darken", "defense-mean", "defense-wary"))
    path = tmp_path / "tournament.yaml"
    written = path.read_text()

    def play(rules: str) -> tuple[Results, dict[str, float], int]:
        path.write_text(written.replace("rules:\n", f"rules:\n{rules}"))
        with Tournament(load(path)) as tournament:
            tournament.submit_configured()
            ended = []
            watcher = Watcher()
            watcher.finished = ended.append  # type: ignore[assignment]
            play_round(tournament, tournament.dataset(), ProcessSandbox(tmp_path / "scratch"), Options(), watcher, lambda: False)
            results = load_results(tournament, tournament.dataset())
            return results, scores(results), len(ended)

    off, without, runs = play("")
    on, with_rule, more = play("  rejection: {max_clean: 1}\n")
    strict, under, again = play("  rejection: {max_clean: 0}\n")
    assert (runs > 0, more, again) == (True, 0, 0)
    rejected = int(tally(on).pairs.rejected[0, 1])
    assert rejected > 0
    assert tally(off).pairs.rejected.sum() == 0
    assert with_rule["defense-wary"] == pytest.approx(without["defense-wary"] + rejected / 30)
    assert with_rule["attack-darken"] == pytest.approx(without["attack-darken"] - rejected / 60)
    assert under["defense-wary"] == pytest.approx(without["defense-wary"])
    assert with_rule["defense-mean"] == without["defense-mean"] == under["defense-mean"]
    with Tournament(load(path)) as tournament, tournament.store.write() as transaction:
        as_it_was(transaction, tournament.dataset().batches(10, tournament.config.rules.bounds))
    assert play("")[1] == without
    assert play("  rejection: {max_clean: 1}\n")[1] == with_rule
    assert strict.max_clean_rejections == 0


def as_it_was(transaction, batches) -> None:
    """Every record as version 0.1.0 wrote it."""
    from harness.scoring.records import _checks, record_type
    from harness.store import round_state
    from harness.store import scores as stored

    for size in stored.batch_sizes(transaction):
        kind = record_type(size)
        made = []
        for data in round_state.score_records(transaction, kind.itemsize):
            for record in np.frombuffer(data, kind).copy():
                new = {comparison(b.labels, b.targets): comparison(b.labels, b.targets, rejections=False) for b in batches}
                record["compared_with"] = new[int(record["compared_with"])]
                labelled, _, target = record["planes"]
                rejected = target & ~labelled
                labelled |= rejected
                target ^= rejected
                record["check"] = _checks(np.array([record]))[0]
                made.append((int(record["run_id"]), record.tobytes()))
        stored.keep_records(transaction, made)


BAD = {"a share above one": ("{max_clean: 1.5}", "rules.rejection.max_clean"), "a name": ("{clean: 0.1}", "rules.rejection"),
       "no number": ("{max_clean: .nan}", "not a finite number"), "a bare number": ("0.05", "rules.rejection")}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_rule_is_refused(tmp_path: Path, case: str) -> None:
    given_rule, words = BAD[case]
    (tmp_path / "tournament.yaml").write_text(f"name: t\ndataset: d\nsubmissions: [a]\nrules: {{rejection: {given_rule}}}\n")
    with pytest.raises(ConfigError, match=words):
        load(tmp_path / "tournament.yaml")


def test_rules_without_it_are_kept_as_ever() -> None:
    assert "rejection" not in Rules().model_dump_json()
    kept = Rules.model_validate_json('{"rejection": {"max_clean": 0.1}}')
    assert Rules.stored(kept.model_dump_json()) == kept


@pytest.mark.parametrize(("programs", "rules", "words"), [
    (("attack-darken",), {"rejection": {"max_clean": 0.05}}, "rules.rejection"),
    (("detector-level", "defense-mean"), {}, "detector-level has no images to score")])
def test_a_round_that_lacks_a_side_is_refused(tmp_path: Path, programs: tuple[str, ...], rules: dict[str, Any],
                                              words: str) -> None:
    config = load(make.tournament(tmp_path, programs, rules=rules))
    with Tournament(config) as tournament:
        tournament.submit_configured()
        with pytest.raises(ConfigError, match=words):
            tournament.open_round(tournament.dataset(), sandbox="process")
