"""`harness selftest` as a command: exit codes, and a failing row by name."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from click.testing import CliRunner, Result

from harness.cli.selftest import command
from harness.errors import UnknownNameError
from harness.sandbox.outcomes import Outcome
from harness.selftest import table
from harness.selftest.row import one_of


def run(*args: str) -> Result:
    return CliRunner().invoke(command, ["--sandbox", "process", *args], standalone_mode=False)


def test_a_row_as_expected() -> None:
    result = run("--only", "does-nothing", "--only", "archive-that-climbs")
    assert result.return_value == 0, result.output
    assert "2 of 2 rows as expected" in result.stdout


def test_a_row_that_differs_is_named(monkeypatch) -> None:
    wrong = [dataclasses.replace(row, outcomes=one_of(Outcome.OK)) if row.name == "does-nothing" else row for row in table.ROWS]
    monkeypatch.setattr(table, "ROWS", tuple(wrong))
    result = run("--only", "does-nothing", "--format", "json")
    assert result.return_value == 1, result.output
    told = json.loads(result.stdout)
    assert not told["passed"]
    assert [(row["row"], row["outcome"], row["expected"]) for row in told["rows"]] == [("does-nothing", "no_output", "ok")]
    assert told["scores"] == []
    assert told["host"] == []


@pytest.mark.parametrize("name", ["no-such-row", "hunts-files"])
def test_a_row_that_is_not_there(name) -> None:
    result = run("--only", name)
    assert isinstance(result.exception, UnknownNameError)


def test_verdicts_as_csv_and_as_markdown(monkeypatch) -> None:
    result = run("--only", "archive-that-climbs", "--format", "csv")
    assert result.return_value == 0, result.output
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert (row["row"], row["outcome"], row["passed"]) == ("archive-that-climbs", "refused at submit", "yes")
    wrong = [dataclasses.replace(row, sentence="words that nobody says") if row.name == "archive-that-climbs" else row
             for row in table.ROWS]
    monkeypatch.setattr(table, "ROWS", tuple(wrong))
    result = run("--only", "archive-that-climbs", "--format", "markdown")
    assert result.return_value == 1, result.output
    head, _, line = result.stdout.splitlines()
    assert head == "| row | tries | outcome | expected | passed | problems |"
    assert line.startswith("| archive-that-climbs | ")
    assert " | refused at submit | no | " in line
