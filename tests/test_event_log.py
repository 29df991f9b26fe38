"""The log of a contest: what it says, that it stays small and harmless, and that it never stops anything."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path

import pytest

from harness import event_log
from harness.config import load
from harness.ending import Ended
from harness.errors import StoreError
from harness.event_log import NAME, facts, kept, shown
from harness.tournament.machine import Watcher
from harness.tournament.run_round import Options, run_round
from tests.e2e import make
from tests.test_untrusted_text import HOSTILE, fit

LOG = logging.getLogger("harness.somewhere")


def read(state: Path) -> list[dict]:
    return [json.loads(line) for line in (state / NAME).read_text().splitlines()]


def test_a_line_says_when_what_and_of_whom(tmp_path: Path) -> None:
    with kept(tmp_path):
        LOG.warning("A slot backs off.", extra=facts(slot="cpu-0", seconds=2.0, reason=None, others=["a", "b"]))
    (line,) = read(tmp_path)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "part": "somewhere", "message": "A slot backs off.", "slot": "cpu-0", "seconds": 2.0,
                    "reason": None, "others": ["a", "b"]}
    LOG.warning("Nobody keeps this.")
    assert len(read(tmp_path)) == 1


def test_without_a_log_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    LOG.error("Nobody asked.")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_of_authors_is_harmless_and_stays_one_line(text: str, tmp_path: Path) -> None:
    said: list[str] = []
    with kept(tmp_path), shown(said.append):
        LOG.warning("A run failed.", extra=facts(submission=text, names=[text], counts={text: 1}, path=Path(text)))
        LOG.warning("%s", text)
    assert len(read(tmp_path)) == len(said) == 2
    assert fit((tmp_path / NAME).read_text())
    assert all(fit(line) and "\n" not in line for line in said)


def test_a_fact_is_cut(tmp_path: Path) -> None:
    with kept(tmp_path):
        LOG.info("A run failed.", extra=facts(reason="x" * 10_000_000))
    assert len(read(tmp_path)[0]["reason"]) == event_log.MOST_CHARACTERS


def test_it_is_bounded_and_the_newest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MOST_BYTES", 2000)
    with kept(tmp_path):
        for number in range(1000):
            LOG.info("Something.", extra=facts(number=number))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [NAME, *(f"{NAME}.{n}" for n in range(1, event_log.KEPT_FILES + 1))]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert read(tmp_path)[-1]["number"] == 999


def test_a_line_that_a_kill_cut_off_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"time": "2026')
    with kept(tmp_path):
        LOG.info("Something.")
    assert [line[:8] for line in (tmp_path / NAME).read_text().splitlines()] == ['{"time":', '{"time":']


def test_what_ends_a_command_is_kept(tmp_path: Path) -> None:
    with pytest.raises(StoreError), kept(tmp_path):
        raise StoreError("The disk is full.", "Free some space.")
    with pytest.raises(ZeroDivisionError), kept(tmp_path):
        1 / 0  # noqa: B018
    with pytest.raises(Ended), kept(tmp_path):
        raise Ended(signal.SIGTERM)
    error, bug, stop = read(tmp_path)
    assert (stop["level"], stop["by"], "traceback" in stop) == ("warning", "SIGTERM", False)
    assert (error["level"], error["problem"], "traceback" in error) == ("error", "The disk is full.", False)
    assert bug["level"] == "critical"
    assert "ZeroDivisionError: division by zero" in bug["traceback"]


UNWRITABLE = {"a directory in its place": lambda path: path.mkdir(), "a full disk": lambda path: path.symlink_to("/dev/full")}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_a_log_that_cannot_be_written_is_told_once_and_stops_nothing(name: str, tmp_path: Path, capsys) -> None:
    UNWRITABLE[name](tmp_path / NAME)
    with kept(tmp_path):
        for _ in range(3000):
            LOG.warning("A slot backs off.")
    assert capsys.readouterr().err.count("cannot be written") == 1


@pytest.fixture
def contest(tmp_path: Path) -> Path:
    return make.tournament(tmp_path, ("attack-darken", "defense-mean"), rules={"batch_size": 3})


def play(path: Path) -> int:
    return run_round(load(path), Options(), Watcher(), lambda: False).progress.finished


def test_a_contest_logs_what_was_decided_its_begin_and_end_and_no_line_for_a_good_run(contest: Path) -> None:
    state = contest.parent / "state"
    (state / "artifacts" / "ab").mkdir(parents=True)
    (state / "artifacts" / "ab" / ".x.tmp").touch()
    assert play(contest) == 30
    removed, begun, swept, ended = read(state)
    assert "process" in removed["said"], "that nothing isolates the programs is said first"
    assert [line["message"] for line in (begun, swept, ended)] == [
        "A round begins.", "Leftovers of an earlier harness are removed.", "The round ends."]
    assert (begun["done"], begun["total"], begun["sandbox"]) == (0, 30, "process")
    assert (ended["finished"], ended["outcomes"]) == (30, {"ok": 30})
    program = contest.parent / "entries" / "attack-darken" / "run"
    program.write_text(program.read_text() + "# changed\n")
    assert play(contest) == 10, "the same pixels share their predictions"
    assert [line["said"] for line in read(state)[4:] if "changed" in line.get("said", "")] == [
        "attack-darken changed: this is version 2."]


def test_a_contest_goes_on_without_its_log(contest: Path, capsys) -> None:
    state = contest.parent / "state"
    state.mkdir()
    (state / NAME).symlink_to("/dev/full")
    assert play(contest) == 30
    assert capsys.readouterr().err.count("the contest continues without it") == 1
