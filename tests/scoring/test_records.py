"""Score records hold what the labels say, and a corrected label changes the scores without a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import load
from harness.dataset.load import Dataset
from harness.formats.result_csv import NO_LABEL, OUT_OF_RANGE, REJECTED
from harness.sandbox.outcomes import NUMBERS, Outcome
from harness.sandbox.process import ProcessSandbox
from harness.scoring import Results
from harness.scoring.records import comparison, make_record, record_type, verdict_planes, whole
from harness.store import round_state, rounds, scores
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Tournament
from tests.e2e import make
from tests.helpers import stored
from tests.helpers.verdicts import codes_from_labels, codes_of

answers = st.integers(-2, 4).filter(lambda label: label != REJECTED) | st.sampled_from([NO_LABEL, -OUT_OF_RANGE, OUT_OF_RANGE])
labels = st.lists(st.tuples(answers, st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=70)


@given(labels)
def test_bits_are_the_verdicts(rows) -> None:
    given_labels, truth, target = (np.array(column, np.int32) for column in zip(*rows, strict=True))
    bits = np.unpackbits(verdict_planes(given_labels.astype(np.int16), truth, target), axis=-1, bitorder="little")[:, :len(rows)]
    assert (bits[0] + 2 * bits[1] + 4 * bits[2]).tolist() == codes_from_labels(
        np.where(given_labels == NO_LABEL, -1, np.where(given_labels < 0, 99, given_labels)), truth, target).tolist()


def test_a_record_is_read_as_it_was_made() -> None:
    truth, target = np.arange(11, dtype=np.int32), np.arange(1, 12, dtype=np.int32)
    made = make_record(run_id=2**32 - 1, submission_id=70_000, conditions_id=3, input_id=900_000, output_id=None, usable=1000,
                       outcome=Outcome.TIME_LIMIT, wall_s=1 / 3, labels=None, truth=truth, target=target)
    (record,) = np.frombuffer(made, record_type(11))
    assert record.item()[:8] == (2**32 - 1, 70_000, 3, 900_000, 0, 1000, NUMBERS[Outcome.TIME_LIMIT], 1 / 3)
    assert record["compared_with"] == comparison(truth, target)
    assert not record["planes"].any()
    assert len({comparison(truth, target), comparison(target, truth), comparison(truth + 1, target)}) == 3


@pytest.mark.parametrize("images", [1, 8, 9, 100, 1000])
def test_a_bit_that_changes_shows(images: int) -> None:
    rng = np.random.default_rng(images)
    made = np.concatenate([np.frombuffer(make_record(
        run_id=run, submission_id=7, conditions_id=3, input_id=9, output_id=None, usable=images, outcome=Outcome.OK, wall_s=0.5,
        labels=rng.integers(0, 3, images).astype(np.int16), truth=np.zeros(images, np.int32), target=np.ones(images, np.int32)),
        record_type(images)) for run in range(5)])
    assert whole(made).all()
    bits = 8 * made.itemsize
    for bit in range(bits) if images < 1000 else rng.integers(0, bits, 200).tolist():
        spoilt = made.copy()
        spoilt.view(np.uint8).reshape(5, -1)[2, bit // 8] ^= 1 << bit % 8
        assert whole(spoilt).tolist() == [True, True, False, True, True]
    assert not whole(np.zeros(1, record_type(images))).any()


@pytest.fixture(params=[{"batch_size": 20}, {"batch_size": 7, "mixed_batches": True}], ids=["plain", "mixed"])
def played(request, tmp_path: Path):
    """A finished tournament whose last batch is shorter than the others."""
    config = make.tournament(tmp_path, ("attack-darken", "attack-half", "targeted-step", "defense-mean", "defense-crash"),
                             rules=request.param)
    with Tournament(load(config)) as tournament:
        tournament.submit_configured()
        play_round(tournament, tournament.dataset(), ProcessSandbox(tmp_path / "scratch"), Options(), Watcher(), lambda: False)
        yield tournament


def from_labels(tournament: Tournament, results: Results, dataset: Dataset) -> np.ndarray:
    """The verdicts of all pairs, each label of each run compared by itself: uint8[A, D, N]."""
    codes = np.zeros(results.verdicts.shape, np.uint8)
    with tournament.read() as transaction:
        row = rounds.find(transaction)
        held = rounds.batches(transaction, row.id)
        batches = {batch.id: at for at, batch in enumerate(held)}
        names = {member.id: member.name for member in rounds.members(transaction, row.id)}
        inputs = round_state.inputs_of(transaction, held)
        runs = round_state.done_runs(transaction, [(member, row.conditions_id) for member in names]).tolist()
        labels = round_state.labels_of(transaction, [run for _, _, _, run, _ in runs])
    made = {output: names[submission] for submission, _, output, _, _ in runs if output}
    attacks, defenses = ([entry.name for entry in side] for side in (results.attacks, results.defenses))
    for submission, input_id, _, run, _ in runs:
        source = inputs[input_id]
        if run not in labels or source.kind == "clean":
            continue
        places = np.flatnonzero(results.batch == batches[source.batch_id])
        parts = np.frombuffer(source.parts, np.int32) if source.parts else np.full(len(places), source.id)
        for place, part, label in zip(places, parts.tolist(), labels[run].tolist(), strict=True):
            if label != NO_LABEL and part in made:
                codes[attacks.index(made[part]), defenses.index(names[submission]), place] = (
                    1 + 2 * (label == dataset.labels[place]) + 4 * (label == dataset.targets[place]))
    return codes


def test_the_verdicts_are_those_of_the_labels(played: Tournament) -> None:
    dataset = played.dataset()
    found = load_results(played, dataset)
    assert len(set(np.bincount(found.batch).tolist())) == 2
    assert codes_of(found).any()
    assert np.array_equal(codes_of(found), from_labels(played, found, dataset))


def test_a_corrected_label_is_a_matter_of_scoring(played: Tournament) -> None:
    dataset = played.dataset()
    before = load_results(played, dataset)
    corrected = replace(dataset, labels=(dataset.labels + (np.arange(len(dataset.ids)) % 9 == 0)) % 10)
    found = load_results(played, corrected)
    assert not np.array_equal(codes_of(found), codes_of(before))
    assert np.array_equal(codes_of(found), from_labels(played, found, corrected))
    assert found.runs == before.runs
    assert len(records(played)) == found.runs.done


def records(tournament: Tournament) -> dict[int, bytes]:
    """The score records by run."""
    with tournament.read() as transaction:
        kinds = {record_type(size).itemsize: record_type(size) for size in scores.batch_sizes(transaction)}
        return {int(record["run_id"]): record.tobytes() for size, kind in kinds.items()
                for data in round_state.score_records(transaction, size) for record in np.frombuffer(data, kind)}


@pytest.mark.parametrize("name", stored.RECORD_DAMAGE)
def test_records_are_made_again_from_the_labels(played: Tournament, name: str) -> None:
    dataset = played.dataset()
    before = load_results(played, dataset)
    kept = records(played)
    with played.store.write() as transaction:
        transaction.connection.execute(stored.RECORD_DAMAGE[name])
    assert load_results(played, dataset).runs != before.runs
    assert played.open_round(dataset, sandbox="process").board.complete
    found = load_results(played, dataset)
    assert found.runs == before.runs
    assert np.array_equal(codes_of(found), codes_of(before))
    assert records(played) == kept
