"""The table of outcomes is what the code follows."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import harness
from harness.faults import POINTS
from harness.sandbox.outcomes import POLICY, Ending, Outcome, Policy, leaves_output

SOURCES = [path for path in Path(harness.__file__).parent.rglob("*.py") if path.name != "faults.py"]
NODES = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text()))]


@pytest.mark.parametrize("column", [field.name for field in fields(Policy)])
def test_code_reads_every_column(column: str) -> None:
    assert any(isinstance(node, ast.Attribute) and node.attr == column for node in NODES)


def test_every_outcome_has_its_row() -> None:
    assert list(POLICY) == list(Outcome)
    assert {Outcome(ending.value) for ending in Ending if ending is not Ending.FINISHED} <= set(POLICY)


@pytest.mark.parametrize(("ending", "read"), [
    (Ending.FINISHED, True), (Ending.TIME_LIMIT, True), (Ending.MEMORY_LIMIT, True), (Ending.OUTPUT_LIMIT, True),
    (Ending.START_FAILED, False), (Ending.IMAGE_MISSING, False), (Ending.HOST_ERROR, False), (Ending.CANCELLED, False),
])
def test_what_is_left_is_read_after_the_endings_whose_outputs_count(ending: Ending, read: bool) -> None:
    assert leaves_output(ending) is read


def test_what_does_not_count_as_done_is_nobodys_result() -> None:
    again = [outcome for outcome, policy in POLICY.items() if not policy.final]
    assert again == [Outcome.HOST_ERROR, Outcome.CANCELLED]
    assert not any(POLICY[outcome].outputs_used or POLICY[outcome].blame == "submission" for outcome in again)


def test_the_points_at_which_tests_kill_are_those_that_the_code_reaches_once_each() -> None:
    reached = [str(node.args[0].value) for node in NODES if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
               and node.func.attr == "reach" and isinstance(node.args[0], ast.Constant)]
    assert sorted(reached) == sorted(POINTS)
