"""The table itself: every row is complete, and the threat model names every row and no other."""

from __future__ import annotations

import re
from pathlib import Path

from harness.selftest.archives import TRICKS
from harness.selftest.build import PROGRAMS
from harness.selftest.data import HONEST
from harness.selftest.judge import CHECKS
from harness.selftest.row import Row
from harness.selftest.table import ROWS
from harness.selftest.workshop import MAKERS

MODEL = Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"
NAMES = [row.name for row in ROWS]


def test_as_many_rows_as_were_asked_for() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert len(NAMES) >= 100


def test_every_row_can_be_built_and_judged() -> None:
    for row in ROWS:
        assert row.build in MAKERS, row.name
        assert not row.check or row.check in CHECKS, row.name
        assert bool(row.sentence) != bool(row.outcomes), row.name
        if row.build not in {"archive", "scratch"}:
            assert (PROGRAMS / row.file).is_file(), row.name
        if row.build == "archive":
            assert row.name in TRICKS


def test_no_program_is_left_over() -> None:
    used = {row.file for row in ROWS if row.build != "scratch"} | {file for _, file in HONEST.values()} | {"shared-kit.py"}
    used |= {row.white_box for row in ROWS if row.white_box} | {"white-box-behaves.py"}
    assert {path.name for path in PROGRAMS.iterdir() if path.is_file()} == used


def line(row: Row) -> str:
    """A row as the threat model has it."""
    outcome = "refused at `submit`" if row.sentence else " or ".join(f"`{name}`" for name in sorted(o.value for o in row.outcomes))
    return f"| `{row.name}` | {row.tries} | {outcome} | {'*process*' if row.process else ''} |"


def test_the_threat_model_names_every_row_and_no_other() -> None:
    text = MODEL.read_text(encoding="utf-8")
    listed = [found for found in text[text.index("## Every row"):].splitlines() if found.startswith("| `")]
    assert listed == [line(row) for row in ROWS]


def test_rows_named_in_the_text_exist() -> None:
    text = MODEL.read_text(encoding="utf-8")
    marked = re.findall(r"\[`([a-z0-9-]+)`\]", text)
    assert marked
    assert set(marked) <= set(NAMES)
