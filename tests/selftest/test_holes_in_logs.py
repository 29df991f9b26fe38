"""A hole made on purpose in what rations and cleans a program's words: the flood that guards it does not pass."""

from __future__ import annotations

from typing import Any

import pytest

from harness.sandbox import protocol, tail
from harness.sandbox.process import ProcessSandbox
from harness.selftest.run import TIME_LIMIT_S, examine
from harness.selftest.table import ROWS

pytestmark = pytest.mark.slow

#: What is changed, the rows that have to notice, and the limit: without its ration a flood goes on to the end of its patience.
HOLES: dict[str, Any] = {
    "answers without a ration": ([(protocol, "MAX_CANDIDATES", 1 << 60), (protocol, "MAX_CANDIDATE_BYTES", 1 << 60)],
                                 ("serves-what-looks-like-answers",), 2.0),
    "control characters": ([(tail, "clean_text", lambda data: data.decode("latin-1"))], ("floods-stderr-with-escape-codes",),
                           TIME_LIMIT_S),
    "a tail of any length": ([(tail.LogTail.__init__, "__defaults__", (1 << 22,))],
                             ("floods-stdout", "serves-a-flood-of-braces"), TIME_LIMIT_S),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_noticed(hole: str, monkeypatch: pytest.MonkeyPatch, tmp_path,
                             honest_in_processes) -> None:
    changes, rows, time_limit_s = HOLES[hole]
    for where, name, opened in changes:
        monkeypatch.setattr(where, name, opened)
    findings = examine([row for row in ROWS if row.name in rows], ProcessSandbox(tmp_path),
                       time_limit_s=time_limit_s, alone=honest_in_processes)
    assert {verdict.row.name for verdict in findings.verdicts if not verdict.passed} == set(rows)
