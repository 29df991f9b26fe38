"""A hole made on purpose in what is looked at before anything runs: the row that guards it does not pass."""

from __future__ import annotations

import json
import os

import pytest

from harness.sandbox.process import ProcessSandbox
from harness.selftest.run import examine
from harness.selftest.table import ROWS
from harness.submission import code_tree
from harness.submission import metadata as submission_metadata

#: What is changed, and the rows that have to notice.
HOLES = {
    "whiteouts": (code_tree, "_WHITEOUT", "never", ("directory-with-a-whiteout", "archive-with-a-whiteout")),
    "depth": (code_tree, "MAX_DEPTH", 1 << 20, ("directory-nested",)),
    "pipes": (code_tree, "open_regular", lambda path: os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb"),
              ("directory-with-fifo-for-metadata",)),
    "a key twice": (submission_metadata, "read_json", json.loads, ("metadata-with-a-key-twice",)),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_noticed(hole, monkeypatch, tmp_path, honest_in_processes) -> None:
    where, name, opened, rows = HOLES[hole]
    monkeypatch.setattr(where, name, opened)
    findings = examine([row for row in ROWS if row.name in rows], ProcessSandbox(tmp_path),
                       alone=honest_in_processes)
    assert {verdict.row.name for verdict in findings.verdicts if not verdict.passed} == set(rows)
