"""What an opponent's text may do to whoever reads it: nothing. Every function, and every way to a person."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.common import say, tell
from harness.doctor import Check
from harness.report.files.export import export_2017, export_all
from harness.report.files.sheets import FORMATS
from harness.report.show import show_leaderboard, show_logs, show_matrix, show_status, show_submission, show_submissions
from harness.report.terminal.console import make_console
from harness.report.terminal.live import LiveProgress
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.untrusted_text import csv_cell, json_text, lines, markdown_cell, plain
from harness.views.logs import LoggedRun
from harness.views.progress import SlotView, Snapshot
from harness.views.status import KindCounts, StatusView
from harness.views.submission import FailedRun, SubmissionView, Timings, met
from harness.views.submissions import FIELDS
from tests.report.conftest import make_results

HOSTILE = {
    "colours": "\x1b[31mred\x1b[0m", "title": "\x1b]0;pwned\x07x",
    "clear": "\x1b[2J\x1b[Hx", "link": "\x1b]8;;http://x\x1b\\a\x1b]8;;\x1b\\",
    "c1": "\x9b31mred\x9d0;x\x9c",
    "bidi": "a\u202egpj.exe\u202c", "isolate": "\u2066a\u2069", "zero width": "a\u200bb\u2060c\ufeff",
    "tag": "a\U000e0041b", "markup": "[link=http://x]a[/link][bold]b[/bold]",
    "lines": "a\nharness: all is well\r\nb", "return": "abc\rxyz",
    "backspace": "abc\b\b\bxyz", "long": "x" * 10_000,
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1", "minus": "-2+3", "at": "@SUM(1)",
    "tab formula": "\t=1+1", "pipe": "a|b", "code": "`a`", "script": "<script>alert(1)</script>", "entity": "&lt;b&gt;",
    "markdown link": "![a](http://x) [b](javascript:c)", "bare link": "http://x.org www.x.org",
    "surrogate": "a\udcffb", "null": "a\0b",
    "separator": "a\u2028b\u2029c",
}


def fit(text: str) -> bool:
    """Whether a terminal shows this and does nothing else."""
    return all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} or c in "\n\t" for c in text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_plain_text_is_one_line_that_a_terminal_only_shows(text: str) -> None:
    assert fit(plain(text))
    assert not set("\n\t") & set(plain(text))
    assert len(plain(text, 50)) <= 50
    assert fit(lines(text))


@given(st.text())
def test_any_text(text: str) -> None:
    assert fit(plain(text))
    assert fit(lines(text))
    assert plain(plain(text)) == plain(text)
    assert json.loads(json_text(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize("text", ["pgd", "a b", "é ü 漢字", "x_y.z-1", "50 %"])
def test_ordinary_text_stays(text: str) -> None:
    assert plain(text) == lines(text) == csv_cell(text) == markdown_cell(text) == text


@pytest.mark.parametrize(("value", "shown"), [
    ("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\t=1", "'\t=1"), ("\r=1", "'\n=1"), (" =1", "' =1"),
    ("\x1b[0m=1", "'=1"),
    ("\u200b=1", "'=1"), ("\uff1d1", "'\uff1d1"), (-1, -1), (-0.5, -0.5), (None, None), (True, True), ("", "")])
def test_formulas_are_prefixed_and_numbers_stay_numbers(value: object, shown: object) -> None:
    assert csv_cell(value) == shown


@pytest.mark.parametrize("unit", ["\x1b[", "\x1b]", "\x1b[0;", "\x1b ", "\x9b0", "\u202e", "[", "`", "http://"])
def test_the_time_is_linear(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    began = time.process_time()
    for function in (plain, lines, csv_cell, markdown_cell):
        function(text)
    assert time.process_time() - began < 5


# Every way to a person -----------------------------------------------------------------------------------------------


def ways(text: str, format_: str) -> None:
    """Print an author's text through every command's output."""
    results = make_results(2, 1, 2, 10)
    attacks, defenses = (tuple(replace(e, name=text if at == 0 else e.name, team=text, mark=text) for at, e in enumerate(side))
                         for side in (results.attacks, results.defenses))
    results = replace(results, attacks=attacks, defenses=defenses, tournament=text, round=text)
    board, matrix = build_leaderboard(results, resamples=5), build_matrix(results)
    show_leaderboard(board, format_)
    show_matrix(matrix, format_, "defense")
    entry = results.defenses[0]
    failure = FailedRun(1, "memory_limit", text, 2, 1, 1.0, f"{text}\n{text}", text)
    view = SubmissionView(entry, {"image": text, "source": text}, 1, 2, Timings(1.0, 1.0, measured_on=(text,)), (failure,),
                          board.tracks["defense"][0], (text,), met(matrix, (), entry)[0])
    show_submission(view, format_)
    show_logs([LoggedRun(0, text, "ok", 1, text, text)], format_)
    show_status(StatusView(text, text, (KindCounts("attack", 1, 0, 0),), {"ok": 1}, (SlotView("s", text),), active=True), format_)
    show_submissions([dict.fromkeys(FIELDS, text) | {"baseline": False, "version": 1}], format_)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_report_in_every_format(text: str, format_: str, capsys) -> None:
    ways(text, format_)
    printed = capsys.readouterr().out
    assert fit(printed)
    if format_ == "markdown":
        assert not any(mark in printed for mark in ("<script", "http://", "www.x"))
        assert not re.search(r"(?<!\\)\]\(", printed)
    if format_ == "csv":
        cells = [cell for row in csv.reader(io.StringIO(printed)) for cell in row]
        assert not any(cell.lstrip().startswith(("=", "+", "@")) for cell in cells)


def test_markup_is_shown_as_text(capsys) -> None:
    ways("[bold]b[/bold]", "table")
    assert "[bold]b[/bold]" in capsys.readouterr().out


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_commands_say_and_the_live_view(text: str, capsys) -> None:
    say(text)
    tell(text)
    with LiveProgress() as live:
        live.update(Snapshot(0, 2, 0, {}, (SlotView(text, text),)))
        live.say(text)
    make_console().print(text)
    both = capsys.readouterr()
    assert fit(both.out)
    assert fit(both.err)


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_doctor(text: str, style: str, capsys) -> None:
    from harness.cli.doctor import _show

    _show([Check("engine", "fail", text, text)], style)
    assert fit(capsys.readouterr().out)


@pytest.mark.parametrize("text", [t for t in HOSTILE.values() if "\udcff" not in t])
def test_exported_csv_files(text: str, tmp_path) -> None:
    results = make_results(2, 1, 2, 4)
    results = replace(results, attacks=tuple(replace(e, name=text, team=text) for e in results.attacks),
                      image_ids=tuple(f"{text}{i}" for i in range(4)))
    export_all(results, tmp_path)
    export_2017(results, tmp_path / "2017")
    for path in tmp_path.rglob("*.csv"):
        written = path.read_text()
        assert fit(written)
        assert not any(cell.lstrip().startswith(("=", "+", "@")) for row in csv.reader(io.StringIO(written)) for cell in row)
