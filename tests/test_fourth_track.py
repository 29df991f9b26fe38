"""A track of its own, a consumer that answers one number per image, from an entry on the disk to the leaderboard: one row of
``tracks``, which names its reader and its formula. What such a track still lacks stands in docs/architecture.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness import tracks
from harness.config import load
from harness.formats.answers import Answers, Reading
from harness.scoring.leaderboard import build_leaderboard
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, run_round
from harness.tournament.tournament import Tournament
from tests.e2e import make
from tests.helpers import stored

#: Says of each image what its name's first digit is.
PROGRAM = """#!/usr/bin/env python3
import os, sys
with open(sys.argv[2], "w") as file:
    file.writelines(f"{name},{int(name[0], 16)}.5\\n" for name in os.listdir(sys.argv[1]) if name.endswith(".png"))
"""


def read_numbers(data: bytes, names: Sequence[str | None]) -> Reading:
    """float32, NaN where there is none."""
    numbers = dict(line.split(",") for line in data.decode().splitlines())
    values = np.array([float(numbers.get(name or "", "nan")) for name in names], np.float32)
    return Reading(Answers(values, ~np.isnan(values)))


def test_it_runs_from_its_entry_to_the_leaderboard(tmp_path, monkeypatch) -> None:
    row = replace(tracks.DEFENSE, name="meter", title="Meters", output="numbers.csv", reader=f"{__name__}:read_numbers", figures=(),
                  ranking=None)
    monkeypatch.setitem(tracks._ROWS, "meter", row)
    make.tournament(tmp_path, ("attack-darken", "defense-mean"))
    entry = tmp_path / "entries" / "meter"
    entry.mkdir()
    (entry / "metadata.json").write_text(json.dumps({"type": "meter", "container": make.IMAGE, "entry_point": "run.py"}))
    (entry / "run.py").write_text(PROGRAM)
    (entry / "run.py").chmod(0o755)
    config = load(tmp_path / "tournament.yaml")
    config = config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"backend": "process"})})
    summary = run_round(config, Options(), Watcher(), lambda: False)
    assert (summary.waiting, summary.progress.outcomes) == (0, {"ok": summary.progress.finished})
    with Tournament(config) as tournament:
        results = load_results(tournament, tournament.dataset())
        board = build_leaderboard(results, tracks=tuple(tracks.TRACKS), resamples=10).to_json()
        with tournament.read() as transaction:
            answers = stored.answers(transaction)
    given = [np.frombuffer(answer, np.float32) for answer in answers if len(answer) == 4 * 10]
    assert [found["name"] for found in board["tracks"]["meter"]] == ["meter"]
    # On the clean images and on what the attack made of each of three batches, as answered.
    assert len(given) == 2 * 3
    assert all(np.isin(values % 1, [0.5]).all() for values in given)
