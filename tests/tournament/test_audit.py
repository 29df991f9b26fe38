"""The audit of served runs and mixed batches, end to end with small served programs in the process sandbox."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from harness.config import load
from harness.sandbox.image_rules import BaseImage
from harness.sandbox.process import ProcessSandbox
from harness.scheduling.board import WAITING
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.store import counters, round_state, rounds
from harness.store.round_state import Answer
from harness.tournament import audit
from harness.tournament.machine import Summary, Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Tournament
from tests.e2e import make
from tests.helpers import stored
from tests.helpers.verdicts import codes_of

SERVED = """#!/usr/bin/env python3
import os
import sys
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
#: Answers the first batch it sees well and every later one badly: served it fails, fresh it does not. Tests of it keep every
#: program open for good: one that is started anew in between forgets.
REMEMBERS = ("def answer(images):\n    global seen\n    seen += 1\n"
             "    return np.array([mean_label(i) if seen == 1 else 0 for i in images])\n")
RANDOM = ("def answer(images):\n    rng = np.random.default_rng(int.from_bytes(os.urandom(8), 'big'))\n"
          "    return rng.integers(0, 10, len(images))\n")
#: Answers well when fresh and badly when served, with one answer of each batch drawn anew: no two of its runs agree. It need not
#: remember anything for it, so that a busy host, on which a program is started anew between two batches, does not cure it.
HIDES = ("def answer(images):\n"
         "    labels = np.array([(mean_label(i) + 5 * (len(sys.argv) < 3)) % 10 for i in images])\n"
         "    labels[0] = int.from_bytes(os.urandom(8), 'big') % 10\n    return labels\n")
#: Attacks that do so: one brightens when served, both change one pixel of every image at random.
NOISY = ("def answer(images, epsilon):\n    rng = np.random.default_rng(int.from_bytes(os.urandom(8), 'big'))\n"
         "    made = images.copy()\n"
         "    spot = made[:, 0, 0].astype(int)\n"
         "    made[:, 0, 0] = np.clip(spot + rng.integers(-epsilon, epsilon + 1, spot.shape), 0, 255)\n"
         "    return made\n")
HIDES_IN_PIXELS = ("def answer(images, epsilon):\n    made = noisy(images, epsilon)\n    if len(sys.argv) < 3:\n"
                   "        made[:, 1:] = np.clip(images[:, 1:].astype(int) + epsilon, 0, 255)\n    return made\n")
COPY = "def answer(images, epsilon):\n    return images\n"
BRIGHTER = "def answer(images, epsilon):\n    return np.clip(images.astype(int) + epsilon, 0, 255).astype(np.uint8)\n"


def served_entry(root: Path, name: str, kind: str, body: str, access: str = "black_box", runner: str = "") -> None:
    folder = root / "entries" / name
    folder.mkdir(parents=True)
    said = {} if access == "black_box" else {"access": access}
    (folder / "metadata.json").write_text(json.dumps(
        {"type": kind, "container": make.IMAGE, "entry_point": "run.py", "protocol": "serve", **said}))
    (folder / "run.py").write_text(SERVED.format(kind=runner or kind, body=body))
    os.chmod(folder / "run.py", 0o755)


def run(path: Path, options: Options | None = None) -> Summary:
    config = load(path)
    with Tournament(config) as tournament:
        tournament.submit_configured()
        return play_round(tournament, tournament.dataset(), ProcessSandbox(), options or Options(), Watcher(), lambda: False)


def tables(path: Path) -> tuple[dict, dict]:
    with Tournament(load(path)) as tournament:
        results = load_results(tournament, tournament.dataset())
        return build_leaderboard(results).to_json(), build_matrix(results).to_json()


def findings(path: Path) -> dict[str, audit.Finding]:
    with Tournament(load(path)) as tournament, tournament.read() as transaction:
        return audit.findings(transaction, rounds.find(transaction))


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> tuple[Path, Summary]:
    """A tournament that was run and audited, once for all tests; whoever changes it takes a copy (``contest``)."""
    root = tmp_path_factory.mktemp("audited")
    for name, kind, body in (("honest", "defense", HONEST), ("remembers", "defense", REMEMBERS), ("random", "defense", RANDOM),
                             ("copy", "attack", COPY), ("brighter", "attack", BRIGHTER)):
        served_entry(root, name, kind, body)
    path = make.tournament(root, [], rules={"audit": 1.0}, sandbox={"isolation": "submission", "memory": "1g"},
                           workers={"slots": 1, "session_memory": "8g"})
    return path, run(path)


@pytest.fixture
def contest(audited: tuple[Path, Summary], tmp_path: Path) -> Path:
    path = audited[0]
    shutil.copytree(path.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / path.name


def test_an_audit_tells_state_from_chance(audited: tuple[Path, Summary], contest: Path) -> None:
    """By chance it fails once in five million times, almost always because "random" is marked.

    Six of its served runs are looked at, and five have to be the odd ones. Ten answers of ten random labels have the first as the
    odd one, looked at with two others and then with nine, in 2.4 % of 60,000 draws: 6 * 0.024^5 = 5e-8, and 2e-7 were it 3 %.
    That a fresh answer of it is the served one has a probability of 6e-10.
    """
    assert audited[1].progress.outcomes.keys() == {"ok"}
    found = findings(contest)
    assert found["honest"].same == found["honest"].audited == 3 * 2
    assert found["remembers"].differs == 5
    assert found["remembers"].randomised == 0
    assert found["random"].randomised + found["random"].differs == found["random"].audited
    assert found["brighter"] == audit.Finding(audited=3, same=3)
    rows = {row["name"]: row for row in tables(contest)[0]["tracks"]["defense"]}
    assert rows["remembers"]["mark"] == audit.MARK
    assert "mark" not in rows["honest"]
    assert "mark" not in rows["random"]
    assert not run(contest).progress.started
    what_the_host_cannot_run_is_asked_for_once(contest)


def what_the_host_cannot_run_is_asked_for_once(contest: Path) -> None:
    with Tournament(load(contest)) as tournament:
        round_ = tournament.open_round(tournament.dataset(), sandbox="process")
        with tournament.store.write() as transaction:
            served = rounds.find(transaction).served_conditions_id
            stored.forget_runs_under_other(transaction, served)
        asked: set[tuple[int, int, int]] = set()
        first = audit.plan_audit(tournament, tournament.dataset(), round_, asked)
        assert first is not None
        assert first.board.counts()[WAITING] == len(asked) == 3 * 6 + 2 * 3
        assert audit.plan_audit(tournament, tournament.dataset(), round_, asked) is None


def test_fresh_runs_are_compared_with_served_ones_on_the_same_image(tmp_path: Path) -> None:
    served_entry(tmp_path, "honest", "defense", HONEST)
    path = make.tournament(tmp_path, [], rules={"audit": 1.0}, sandbox={"isolation": "submission", "memory": "1g"},
                           workers={"slots": 1})
    for identity in ("first", "second"):
        with Tournament(load(path)) as tournament:
            tournament.submit_configured()
            sandbox = ProcessSandbox()
            sandbox.pin_base = lambda *_, identity=identity: BaseImage("sha256:1", identity)  # type: ignore[attr-defined]
            done = play_round(tournament, tournament.dataset(), sandbox, Options(), Watcher(), lambda: False).progress
            assert done.finished == 2 * 3
            with tournament.read() as transaction:
                images = [made.get("image") for made in rounds.used_conditions(transaction)]
        assert findings(path) == {"honest": audit.Finding(audited=3, same=3)}
    assert sorted(map(str, images)) == ["None", "None", "second", "second"]


@pytest.fixture
def hiders(tmp_path: Path) -> Path:
    for name, kind, body in (("honest", "defense", HONEST), ("hides", "defense", HIDES), ("noisy", "attack", NOISY),
                             ("hides-in-pixels", "attack", NOISY.replace("answer", "noisy") + HIDES_IN_PIXELS)):
        served_entry(tmp_path, name, kind, body)
    return make.tournament(tmp_path, [], rules={"audit": 0.1, "batch_size": 5}, images=40,
                           workers={"slots": 1, "session_memory": "8g"}, sandbox={"isolation": "submission", "memory": "1g"})


def test_one_random_answer_a_batch_hides_no_state(hiders: Path) -> None:
    """Every program begins with a few runs; suspects get more until it is clear.

    By chance it fails once in two million times. "noisy" is marked where the served answer is the odd one in four runs of four:
    five images with noise in three values give that in 2.2 % of 60,000 draws, 0.025^4 = 4e-7 (in six of eight: 7e-9). "hides" goes
    free where it is so in one of the first four at most: it is not in 0.04 % of the draws, 4 * 0.0004^3 = 3e-10.
    """
    assert run(hiders).progress.outcomes.keys() == {"ok"}
    found = findings(hiders)
    board = tables(hiders)[0]["tracks"]
    marks = {row["name"]: row.get("mark") for rows in board.values() for row in rows}
    assert marks == {"honest": None, "hides": audit.MARK, "noisy": None, "hides-in-pixels": audit.MARK}, found
    assert found["honest"].audited < 8 * 3
    assert not run(hiders).progress.started


#: How far an image is from its class's grey level, the other way round in every batch but the first that a process sees: served, a
#: detector forgets nothing; a fresh one has nothing to remember. One score of each batch is random and hides nothing.
LEVEL = "def level(images):\n    found = (images.mean(axis=(1, 2, 3)) - 12) / 25\n    return np.abs(found - np.round(found))\n"
DETECTS = LEVEL + "answer = level\n"
TURNS = LEVEL + ("def answer(images):\n    global seen\n    seen += 1\n    scores = level(images) * (1 if seen == 1 else -1)\n"
                 "    scores[0] = int.from_bytes(os.urandom(2), 'big')\n    return scores\n")


def test_a_served_detector_that_remembers_is_marked(tmp_path: Path) -> None:
    for name, body in (("detects", DETECTS), ("turns", TURNS)):
        served_entry(tmp_path, name, "detector", body)
    path = make.tournament(tmp_path, ("attack-bright", "attack-darken", "targeted-step"),
                           rules={"audit": 1.0, "batch_size": 30, "max_epsilon": [8]},
                           sandbox={"isolation": "submission", "memory": "1g"}, workers={"slots": 1, "session_memory": "8g"})
    assert run(path).progress.outcomes.keys() == {"ok"}
    # Two halves of each attack's one batch.
    found = findings(path)
    assert found["detects"] == audit.Finding(audited=6, same=6)
    # By its random score the first one may be the odd one too.
    assert found["turns"].audited == 6
    assert found["turns"].differs >= 5
    rows = {row["name"]: row for row in tables(path)[0]["tracks"]["detector"]}
    assert rows["turns"]["mark"] == audit.MARK
    assert "mark" not in rows["detects"]
    assert not run(path).progress.started


READS = ("def answer(images, epsilon, target):\n    step = epsilon{hides}\n"
         "    return np.clip(images.astype(int) + step, 0, 255).astype(np.uint8)\n")
OPENED = "class Opened:\n    def logits(self, pixels): pass\n    predict = logits\nload = Opened\n"


def test_duels_are_audited_as_other_served_runs_are(tmp_path: Path) -> None:
    """But for those by queries: nothing of them is one program's alone."""
    for name, hides in (("reads", ""), ("hides", " * (len(sys.argv) < 3)")):
        served_entry(tmp_path, name, "attack", READS.format(hides=hides), "white_box", "white_box_attack")
    served_entry(tmp_path, "asks", "attack", "def answer(images, bound, oracle):\n    return images\n", "query", "query_attack")
    for name in ("one", "two"):
        served_entry(tmp_path, name, "defense", HONEST)
        (tmp_path / "entries" / name / "whitebox.py").write_text(f"# {name}\n{OPENED}")
    path = make.tournament(tmp_path, [], rules={"audit": 1.0, "access": ["white_box", "query"]},
                           sandbox={"isolation": "submission", "memory": "1g"}, workers={"slots": 1, "session_memory": "8g"})
    assert run(path).progress.outcomes.keys() == {"ok"}
    found = findings(path)
    assert found["reads"] == audit.Finding(audited=6, same=6)
    assert (found["hides"].audited, found["hides"].differs) == (6, 6)
    assert "asks" not in found or found["asks"].audited == 0
    # The clean images, and what both attacks made of it alone, which is the same.
    assert found["one"] == audit.Finding(audited=6, same=6)
    rows = {row["name"]: row for row in tables(path)[0]["tracks"]["attack"]}
    assert rows["hides"]["mark"] == audit.MARK
    assert "mark" not in rows["reads"]
    assert not run(path).progress.started


def test_a_run_that_a_limit_cut_off_is_held_against_nobody() -> None:
    """A fresh run loads its model within its time; a served one did so before."""
    served, fresh = Answer("ok", 0, b"\1\0"), Answer("time_limit", 0, b"")
    case = audit._case(served, [fresh] * 9, lambda answers: True)
    assert case.verdict is audit._Verdict.UNCOMPARED


def test_what_an_older_version_did_does_not_mark_its_successor(contest: Path) -> None:
    assert findings(contest)["remembers"].differs == 5
    program = contest.parent / "entries" / "remembers" / "run.py"
    program.write_text(SERVED.format(kind="defense", body=HONEST + "# mended\n"))
    run(contest)
    assert findings(contest)["remembers"].differs == 0
    assert findings(contest)["remembers"].audited == 6


def test_which_runs_are_audited_is_a_secret_of_the_database(tmp_path: Path) -> None:
    """All that is hashed beside it is known to a program: its own code and the pixels that it sees."""
    served_entry(tmp_path, "honest", "defense", HONEST)
    # Not audited yet, so that each of two copies makes its own secret.
    path = make.tournament(tmp_path, ("attack-darken", "attack-bright"), rules={"batch_size": 5},
                           sandbox={"isolation": "submission", "memory": "1g"}, workers={"slots": 1})
    run(path)
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    config = load(path)
    config = config.model_copy(update={"rules": config.rules.model_copy(update={"audit": 0.5})})
    drawn = []
    for state in ("state", "copy"):
        with Tournament(config.model_copy(update={"state": tmp_path / state})) as tournament:
            round_ = tournament.open_round(tournament.dataset(), sandbox="process")
            with tournament.store.write() as transaction:
                secret = counters.secret(transaction, "audit")
                assert counters.secret(transaction, "audit") == secret
            drawn.append([audit._draw(round_, task, secret) for task in audit._served(round_)])
    assert len(drawn[0]) == len(drawn[1]) > 10
    assert not set(drawn[0]) & set(drawn[1])


def test_a_leaderboard_read_beside_a_running_harness_is_of_one_moment(contest: Path, monkeypatch) -> None:
    with Tournament(load(contest)) as tournament:
        before = load_results(tournament, tournament.dataset())
        inputs_of = round_state.inputs_of

        def then_something_ends(*args):
            found = inputs_of(*args)
            stored.remake_outputs(tournament.config.state)
            return found

        monkeypatch.setattr(round_state, "inputs_of", then_something_ends)
        beside = load_results(tournament, tournament.dataset())
    assert (beside.produced == before.produced).all()
    assert (codes_of(beside) == codes_of(before)).all()


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
