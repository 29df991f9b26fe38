"""The audit of served runs and mixed batches, end to end with small served programs in the process sandbox."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness import audit
from harness.config import load
from harness.contest import Options, Summary, Watcher, run_round
from harness.leaderboard import build_leaderboard, build_matrix
from harness.sandbox.process import ProcessSandbox
from harness.standings import load_results
from harness.store import registry
from harness.tournament import Tournament
from tests.e2e import make

SERVED = """#!/usr/bin/env python3
import os
import numpy as np
from harness.sdk import run_{kind}
seen = 0
def mean_label(image):
    return int(np.clip(round((float(image.mean()) - 12) / 25), 0, 9))
{body}
if __name__ == "__main__":
    run_{kind}(answer)
"""
HONEST = "def answer(images):\n    return np.array([mean_label(i) for i in images])\n"
#: Answers the first batch it sees well and every later one badly: served it fails, fresh it does not.
REMEMBERS = ("def answer(images):\n    global seen\n    seen += 1\n"
             "    return np.array([mean_label(i) if seen == 1 else 0 for i in images])\n")
RANDOM = ("def answer(images):\n    rng = np.random.default_rng(int.from_bytes(os.urandom(8), 'big'))\n"
          "    return rng.integers(0, 10, len(images))\n")
COPY = "def answer(images, epsilon):\n    return images\n"
BRIGHTER = "def answer(images, epsilon):\n    return np.clip(images.astype(int) + epsilon, 0, 255).astype(np.uint8)\n"


def served_entry(root: Path, name: str, kind: str, body: str) -> None:
    folder = root / "entries" / name
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps(
        {"type": kind, "container": make.IMAGE, "entry_point": "run.py", "protocol": "serve"}))
    (folder / "run.py").write_text(SERVED.format(kind=kind, body=body))
    os.chmod(folder / "run.py", 0o755)


def run(path: Path, options: Options | None = None) -> Summary:
    config = load(path)
    with Tournament(config) as tournament:
        tournament.submit_configured()
        return run_round(tournament, tournament.dataset(), ProcessSandbox(), options or Options(), Watcher(), lambda: False)


def tables(path: Path) -> tuple[dict, dict]:
    with Tournament(load(path)) as tournament:
        results = load_results(tournament, tournament.dataset())
        return build_leaderboard(results).to_json(), build_matrix(results).to_json()


def findings(path: Path) -> dict[str, audit.Finding]:
    with Tournament(load(path)) as tournament, tournament.session() as session:
        return audit.findings(session, registry.find_round(session, None))


@pytest.fixture
def contest(tmp_path: Path) -> Path:
    for name, kind, body in (("honest", "defense", HONEST), ("remembers", "defense", REMEMBERS), ("random", "defense", RANDOM),
                             ("copy", "attack", COPY), ("brighter", "attack", BRIGHTER)):
        served_entry(tmp_path, name, kind, body)
    return make.tournament(tmp_path, [], rules={"audit": 1.0}, sandbox={"isolation": "submission", "memory": "1g"},
                           workers={"slots": 1})


def test_an_audit_tells_state_from_chance(contest: Path) -> None:
    assert run(contest).progress.outcomes.keys() == {"ok"}
    found = findings(contest)
    assert found["honest"].same == found["honest"].audited == 3 * 2
    assert found["remembers"].differs == 5
    assert found["remembers"].randomised == 0
    assert found["random"].randomised == found["random"].audited
    assert found["brighter"] == audit.Finding(audited=3, same=3)
    rows = {row["name"]: row for row in tables(contest)[0]["tracks"]["defense"]}
    assert rows["remembers"]["mark"] == audit.MARK
    assert "mark" not in rows["honest"]
    assert "mark" not in rows["random"]
    assert not run(contest).progress.started


def test_mixed_batches_give_the_scores_of_plain_ones(tmp_path: Path) -> None:
    both = []
    for mixed in (False, True):
        root = tmp_path / str(mixed)
        path = make.tournament(root, make.HONEST, rules={"mixed_batches": mixed})
        summary = run(path)
        board, matrix = tables(path)
        assert board["runs"]["done"] == board["runs"]["total"]
        both.append((matrix, sorted((r["name"], r["score"], r["worst"]) for t in board["tracks"].values() for r in t)))
        assert not summary.waiting
        assert not run(path).progress.started
    assert both[0] == both[1]
