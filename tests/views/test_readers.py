"""Status, one submission and logs from the rows of a round that is half done."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.config import TournamentConfig
from harness.errors import UnknownNameError
from harness.report.terminal.logs import print_logs
from harness.store.lock import writer_lock
from harness.store.logs import LogStore
from harness.store.models import (
    AttemptRow,
    BatchRow,
    ConditionsRow,
    InputRow,
    RoundBatchRow,
    RoundRow,
    RoundSubmissionRow,
    RunRow,
    SlotRow,
    SubmissionRow,
)
from harness.store.values import DONE, OPEN, RUNNING
from harness.tournament.audit import Finding
from harness.tournament.tournament import Tournament
from harness.views.status_reader import StatusReader
from harness.views.submission import timing
from harness.views.submission_reader import SubmissionReader, audit_note
from tests.report.conftest import screen

OLD, ATTACK, TARGETED, DEFENSE = 1, 2, 3, 4
TASK, CLEAN, ADVERSARIAL = 10, 20, 30


def submission(name: str, kind: str, version: int = 1, state: str = "active") -> SubmissionRow:
    return SubmissionRow(
        name=name, version=version, type=kind, team="t", baseline=False, digest=f"{name}{version}".ljust(64, "0"),
        kind="directory", container="localhost/harness-light:1", container_gpu="", entry_point="run.sh", profile="legacy",
        serves=False, source="somewhere", submitted_at=1.0, state=state)


def run(number: int, who: int, reads: int, *, state: int = DONE, outcome: str | None = "ok", **more) -> RunRow:
    return RunRow(id=number, submission_id=who, input_id=reads, conditions_id=1, state=state, attempt=more.pop("attempt", 1),
                  started_at=1.0, outcome=outcome, wall_s=more.pop("wall_s", 2.0), slot=f"cpu-{number % 2}", **more)


@pytest.fixture
def tournament(tmp_path: Path) -> Iterator[Tournament]:
    """Two batches. The attack has made both, the targeted one its first; an old version of the attack left its runs."""
    config = TournamentConfig(name="digits", dataset=tmp_path / "data", state=tmp_path / "state")
    with Tournament(config) as opened:
        with opened.store.write() as transaction:
            session = transaction.session
            session.add_all([ConditionsRow(text="{}"), submission("a", "attack", 1, "superseded"), submission("a", "attack", 2),
                             submission("t", "targeted_attack"), submission("d", "defense")])
            session.add_all(BatchRow(id=b, task_digest=f"t{b}", clean_digest=f"c{b}", dataset_digest="x", size=4, epsilon=16)
                            for b in (1, 2))
            session.flush()
            session.add_all(InputRow(id=base + b, batch_id=b, kind=kind, digest=f"{kind}{b}", produced=b"\xf0")
                            for b in (1, 2) for base, kind in ((TASK, "task"), (CLEAN, "clean"), (ADVERSARIAL, "adversarial")))
            session.add_all([InputRow(id=40, batch_id=1, kind="adversarial", digest="by t", produced=b"\xf0"),
                             InputRow(id=50, batch_id=1, kind="adversarial", digest="by old a", produced=b"\xf0")])
            round_row = RoundRow(name="default", tournament="digits", dataset_digest="x", rules="{}", conditions_id=1,
                                 served_conditions_id=1, created_at=1.0)
            session.add(round_row)
            session.flush()
            session.add_all(RoundSubmissionRow(round_id=round_row.id, submission_id=s) for s in (ATTACK, TARGETED, DEFENSE))
            session.add_all(RoundBatchRow(round_id=round_row.id, batch_id=b, position=b - 1) for b in (1, 2))
            session.add_all([
                run(1, OLD, 11, output_id=50), run(2, ATTACK, 11, output_id=31), run(3, ATTACK, 12, output_id=32),
                run(4, TARGETED, 11, output_id=40), run(5, TARGETED, 12, state=RUNNING, outcome=None),
                run(6, DEFENSE, 21, wall_s=4.0), run(7, DEFENSE, 22, outcome="memory_limit", attempt=2, wall_s=9.0),
                run(8, DEFENSE, 31), run(9, DEFENSE, 50, outcome="time_limit")])
            session.flush()
            facts = {"detail": "out of memory", "refused": {"7.png": "label 'x' is not an integer"}, "usable": 3, "expected": 4}
            session.add(AttemptRow(run_id=7, number=2, outcome="memory_limit", started_at=1.0, slot="cpu-0", exit_code=137,
                                   wall_s=9.0, evidence=json.dumps(facts)))
            session.add(AttemptRow(run_id=2, number=1, outcome="ok", started_at=1.0, slot="cpu-0", exit_code=0, wall_s=2.0,
                                   evidence=json.dumps({"linf": 19, "usable": 4, "expected": 4})))
        logs = LogStore(config.state / "logs")
        logs.save([(7, 1, "first try\n", ""), (7, 2, "", "MemoryError\n"), (8, 1, "fine\n", "")])
        logs.close()
        yield opened


def test_status_counts_what_the_round_needs_and_nothing_of_an_old_version(tournament: Tournament) -> None:
    with tournament.read() as transaction:
        view = StatusReader(tournament, transaction).status()
    # Inputs of the defense: 2 clean, 3 made, 1 still to come.
    assert [(k.kind, k.done, k.running, k.waiting, k.total) for k in view.kinds] == [
        ("attack", 2, 0, 0, 2), ("targeted_attack", 1, 0, 1, 2), ("defense", 3, 0, 3, 6), ("detector", 0, 0, 0, 0)]
    assert view.outcomes == {"ok": 5, "memory_limit": 1}
    assert [kind.failed for kind in view.kinds] == [0, 0, 1, 0]
    assert not view.active
    assert view.rounds == ("default",)


def test_status_of_a_running_harness_says_what_runs_and_how_long_still(tournament: Tournament) -> None:
    with writer_lock(tournament.config.state), tournament.read() as transaction:
        view = StatusReader(tournament, transaction).status()
    assert view.active
    assert [kind.running for kind in view.kinds] == [0, 1, 0, 0]
    assert view.slots[0].what == "t on batch 1"
    # The running targeted attack has had its 2 s; three defense runs at the defense's median of 3 s, on two slots.
    assert view.eta_s == pytest.approx(3 * 3.0 / 2)


def test_a_first_run_that_takes_long_is_no_longer_taken_for_a_short_one(tournament: Tournament) -> None:
    with tournament.store.write() as transaction:
        transaction.session.get_one(RunRow, 4).state = OPEN
        transaction.session.get_one(RunRow, 5).started_at = time.time() - 600
    with writer_lock(tournament.config.state), tournament.read() as transaction:
        # The running one has had its time, the other batch takes as long; the defense has three runs of 3 s.
        assert StatusReader(tournament, transaction).status().eta_s == pytest.approx((600 + 3 * 3.0) / 2, abs=5)


def test_an_unknown_round_or_submission(tournament: Tournament) -> None:
    with tournament.read() as transaction:
        with pytest.raises(UnknownNameError, match="no round 'final'"):
            StatusReader(tournament, transaction, "final")
        with pytest.raises(UnknownNameError, match="no submission 'z'"):
            SubmissionReader(tournament, transaction).logs("z")


def test_one_submission_says_why_a_run_failed(tournament: Tournament) -> None:
    with tournament.read() as transaction:
        view = SubmissionReader(tournament, transaction).submission("d")
    assert (view.done, view.total) == (3, 6)
    (failure,) = view.failures
    assert (failure.batch, failure.against, failure.outcome) == (1, "clean", "memory_limit")
    assert (failure.attempt, failure.exit_code) == (2, 137)
    assert failure.reason.splitlines() == [
        "out of memory", "7.png: label 'x' is not an integer", "3 of 4 outputs were accepted"]
    assert failure.repeat == "harness run --fresh d --only d --batch 1 --against clean"
    with tournament.read() as transaction:
        other = SubmissionReader(tournament, transaction, config_path=Path("my contest.yaml")).submission("d")
    assert other.failures[0].repeat == (
        "harness run --fresh d --only d --batch 1 --against clean --config 'my contest.yaml'")
    assert (view.timings.median_s, view.timings.longest_s, view.timings.limit_s) == (4.0, 9.0, 500.0)


def test_times_are_told_with_what_they_were_measured_on(tournament: Tournament) -> None:
    host = {"machine": "x86_64", "cores": 16, "memory_bytes": 128 << 30}

    def gpu(driver: str) -> dict[str, Any]:
        return {"gpu": {"index": "0", "name": "Fast One", "driver": driver, "memory_total_mib": 1000, "clock_mhz": 1980}}

    with tournament.store.write() as transaction:
        session = transaction.session
        session.add_all(SlotRow(name=name, seen_at=seen_at, facts=json.dumps(host | more)) for name, seen_at, more in [
            ("cpu-0", 0.2, gpu("old")), ("cpu-0", 0.5, gpu("570")), ("cpu-0", 2.0, gpu("later")), ("cpu-1", 0.5, {}),
            ("cpu-9", 0.5, gpu("unused"))])
    with tournament.read() as transaction:
        view = SubmissionReader(tournament, transaction).submission("d")
    assert view.timings.measured_on == (
        "16 cores of x86_64, 128 GiB", "Fast One (driver 570, 1000 MiB, 1980 MHz), 16 cores of x86_64, 128 GiB")
    # The longest one is of another machine than the median.
    apart = {each.hardware: each for each in view.timings.by_hardware}
    assert sorted(apart) == ["16 cores of x86_64, 128 GiB", "Fast One, 16 cores of x86_64, 128 GiB"]
    fast, plain = apart["Fast One, 16 cores of x86_64, 128 GiB"], apart["16 cores of x86_64, 128 GiB"]
    assert (fast.runs, fast.median_s, fast.longest_s, plain.longest_s) == (2, 3.0, 4.0, 9.0)
    said = timing(view.timings)
    assert [line for line in said if line.startswith("On Fast One, 16 cores")]
    one = replace(view.timings, by_hardware=view.timings.by_hardware[:1])
    assert not [line for line in timing(one) if "do not compare" in line]


def test_an_audit_is_told_in_a_sentence() -> None:
    assert audit_note(Finding(audited=1, same=1)) == (
        "Audit: of 1 served run run again in fresh containers, 1 gave the same result.")
    suspicious = audit_note(Finding(audited=9, same=5, randomised=1, differs=1, undecided=2))
    assert "1 was the odd one of ten, no more often than chance explains; 2 differed and wait" in suspicious
    marked = audit_note(Finding(audited=7, same=1, differs=5, uncompared=1))
    assert "5 were the odd one of ten, more often than chance explains: its answers depend on earlier batches" in marked
    assert "1 could not be compared, because a limit ended one of the runs" in marked


def test_pixels_beyond_epsilon_are_reported(tournament: Tournament) -> None:
    with tournament.read() as transaction:
        view = SubmissionReader(tournament, transaction).submission("a")
    assert view.notes == ("In 1 of its runs images went beyond epsilon (up to 19); they were clipped to it.",)
    assert view.details["version"] == "2 (active)"
    assert view.failures == ()


def test_a_run_that_was_repeated_for_an_overloaded_host_is_told(tournament: Tournament) -> None:
    evidence = json.dumps({"host_overloaded": True, "usable": 0, "expected": 4})
    with tournament.store.write() as transaction:
        session = transaction.session
        # The repeated one; one that counted at once; one whose repetition hit the limit too, which was not repeated again.
        for run_id, number, outcome in ((7, 1, "time_limit"), (8, 1, "ok"), (7, 2, "time_limit")):
            session.merge(AttemptRow(run_id=run_id, number=number, outcome=outcome, started_at=1.0, slot="cpu-0", exit_code=None,
                                     wall_s=2.0, evidence=evidence))
    with tournament.read() as transaction:
        view = SubmissionReader(tournament, transaction).submission("d")
    (note,) = view.notes
    assert note.startswith("1 run hit the time limit while the host was overloaded and was rerun alone;")


def test_logs_of_failed_runs_first_of_any_run_when_asked(tournament: Tournament) -> None:
    with tournament.read() as transaction:
        reader = SubmissionReader(tournament, transaction)
        failed, asked = reader.logs("d"), reader.logs("d", against="a")
        assert [(log.attempt, log.stdout, log.stderr) for log in failed] == [(1, "first try\n", ""), (2, "", "MemoryError\n")]
        assert [(log.batch, log.against, log.stdout) for log in asked] == [(0, "a", "fine\n")]
        assert reader.logs("d", batch=5) == []
        assert [log.against for log in reader.logs("d", batch=0)] == ["a", "clean"]
    lines = screen(lambda console: print_logs(failed, console))
    assert "batch 1 against clean, attempt 2: memory_limit" in lines
    assert "MemoryError" in lines


def test_status_shows_the_machines_of_the_run_that_goes_on(tournament: Tournament) -> None:
    host = {"machine": "x86_64", "cores": 16, "memory_bytes": 128 << 30}
    now = time.time()
    with writer_lock(tournament.config.state):
        with tournament.store.write() as transaction:
            seen = [("old/cpu0", -1000, {}), ("cpu0", 1, {}), ("north/cpu0", 1, {}), ("north/cpu1", 1, {}), ("south/cpu0", 1, {}),
                    ("south/cpu0", 2, {"lost": True}), ("west/cpu0", 1, {}), ("west/cpu0", 2, {"lost": True}), ("west/cpu0", 3, {})]
            transaction.session.add_all(
                SlotRow(name=name, seen_at=now + after, facts=json.dumps(host | more)) for name, after, more in seen)
        with tournament.read() as transaction:
            nodes = StatusReader(tournament, transaction).status().nodes
    assert [(node.name, node.slots, node.lost) for node in nodes] == [
        ("north", 2, False), ("south", 1, True), ("west", 1, False)]
    assert nodes[0].hardware == "16 cores of x86_64, 128 GiB"
    with tournament.read() as transaction:
        assert StatusReader(tournament, transaction).status().nodes == ()
