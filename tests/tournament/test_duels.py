"""Duels from their entries to stored results: who meets whom, what is run again, and that nobody else notices."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from harness.config import load
from harness.errors import UnknownNameError
from harness.execution.job import Finished
from harness.sandbox.outcomes import Outcome
from harness.scoring import Results
from harness.scoring.leaderboard import build_leaderboard
from harness.scoring.verdicts import CORRECT, LABELLED, TARGET
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, run_round
from harness.tournament.tournament import Fresh, Tournament
from harness.tracks import Access
from harness.views.round_reader import RoundReader
from harness.views.status_reader import StatusReader
from tests.e2e import make

BATCHES = 3
ORDINARY = ("attack-darken", "defense-mean", "detector-level")


class Listener(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.runs: list[Finished] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def finished(self, finished: Finished) -> None:
        self.runs.append(finished)

    @property
    def started(self) -> dict[str, int]:
        return dict(Counter(run.job.name for run in self.runs))


def run(root: Path, options: Options = Options()) -> Listener:  # noqa: B008 - frozen
    listener = Listener()
    run_round(load(root / "tournament.yaml"), options, listener, lambda: False)
    return listener


def results(root: Path) -> Results:
    with Tournament(load(root / "tournament.yaml")) as tournament:
        return load_results(tournament, tournament.dataset())


def rules(root: Path, **given: object) -> None:
    file = yaml.safe_load((root / "tournament.yaml").read_text())
    file["rules"] = {"batch_size": 10, "time_limit_s": 60, **given}
    (root / "tournament.yaml").write_text(yaml.safe_dump(file))


def defense(root: Path, name: str, says: str = "brighter", base: str = "", program: str = "defense-mean") -> Path:
    """A defense that is open to white-box attacks, and with a base to grey-box ones as well."""
    folder = make.entry(root / "entries" / name, program, note=name, metadata={"base": base} if base else {})
    (folder / "whitebox.py").write_text(f"# {says} {name}\n")
    if base:
        (folder / base).mkdir()
        (folder / base / "whitebox.py").write_text(f"# {says} of {name}\n")
    return folder


class Played(NamedTuple):
    root: Path
    #: Before there were duels: the tables, and what was started.
    before: dict[str, object]
    alone: Listener
    duels: Listener


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Played:
    """Ordinary entries, then beside them a white-box and a grey-box attack on the two defenses that are open."""
    root = tmp_path_factory.mktemp("duels")
    make.tournament(root, ORDINARY)
    defense(root, "open-a")
    defense(root, "open-b", "darker", base="inner", program="defense-centre")
    rules(root, max_epsilon=[16])
    alone = run(root)
    before = tables(root)
    make.entry(root / "entries" / "white", "attack-reads", metadata={"access": "white_box"})
    make.entry(root / "entries" / "grey", "attack-reads", note="grey", metadata={"access": "grey_box"})
    assert [text for text in run(root).said if "access" in text] == [
        f"{name} does not take part: its access is {name}_box, and the tournament has black_box." for name in ("grey", "white")]
    rules(root, access=["white_box", "grey_box"], max_epsilon=[16])
    return Played(root, before, alone, run(root))


def tables(root: Path) -> dict[str, object]:
    """What is known of those who meet everybody."""
    found = results(root)
    board = build_leaderboard(replace(found, duels=()))
    # But for what is said of all runs of an entry, those of its duels among them.
    shown = {track: [replace(row, outcomes={}) for row in rows] for track, rows in board.tracks.items()}
    return {"tracks": shown, "verdicts": found.verdicts.planes.tolist(), "clean": found.clean_codes.tolist(),
            "detections": found.detections.attacked.tolist(), "shown": found.detections.shown.tolist()}


@pytest.fixture
def again(played, tmp_path) -> Path:
    shutil.copytree(played.root, tmp_path / "t")
    return tmp_path / "t"


def test_each_open_pair_is_played_and_no_other(played) -> None:
    root = played.root
    assert played.alone.started == {"attack-darken": BATCHES, "detector-level": 2 * BATCHES, "defense-mean": 2 * BATCHES,
                                    "open-a": 2 * BATCHES, "open-b": 2 * BATCHES}
    # Against open-b both attacks make what attack-darken made.
    assert played.duels.started == {"white": 2 * BATCHES, "grey": BATCHES, "open-a": BATCHES}
    found = {duels.access: duels for duels in results(root).duels}
    assert [entry.name for entry in found[Access.WHITE_BOX].attacks] == ["white"]
    assert found[Access.WHITE_BOX].open.tolist() == [[False, True, True]]
    assert found[Access.GREY_BOX].open.tolist() == [[False, False, True]]
    for duels in found.values():
        assert duels.done[duels.open].all()
        assert not duels.done[~duels.open].any()
        assert duels.produced[duels.open].all()


def test_what_duels_cost_is_said_before(played) -> None:
    assert [text for text in played.duels.said if "uel" in text or "runs" in text] == [
        "Duels, grey_box: 1 attack x 3 defenses x 3 batches; open pairs: 1 of 3; 3 duels, 6 runs.",
        "Duels, white_box: 1 attack x 3 defenses x 3 batches; open pairs: 2 of 3; 6 duels, 12 runs.",
        next(text for text in played.duels.said if text.startswith("Of these 18 runs 18 are not done yet: about ")
             and text.endswith(" s on 2 slots, as far as is known."))]
    assert not [text for text in played.alone.said if "uel" in text]


def test_an_attack_sees_its_opponent_and_nothing_else_of_it(played) -> None:
    seen = {(done.job.name, done.job.program.target.part): set(done.result.report.stderr.split())
            for done in played.duels.runs if done.job.program.target is not None}
    assert seen == {("white", ""): {"metadata.json", "pixels.py", "run", "whitebox.py"} | seen["white", ""] & {"inner"},
                    ("grey", "inner"): {"whitebox.py"}}


def test_what_an_attack_makes_is_judged_by_its_opponent_alone(played) -> None:
    found = results(played.root)
    clean = make.records()
    white = next(duels for duels in found.duels if duels.access is Access.WHITE_BOX)
    for opponent, sign in ((1, 1), (2, -1)):
        for image, record in enumerate(clean):
            moved = np.clip(record.pixels.astype(int) + 16 * sign, 0, 255).ravel()
            if opponent == 2:
                moved = np.sort(moved)[len(moved) // 4: -(len(moved) // 4)]
            label = max(0, min(9, round((moved.mean() - 12) / 25)))
            assert bool(white.codes[0, opponent, image] & CORRECT) is (label == record.label)


def test_duels_change_nothing_for_those_who_meet_everybody(played) -> None:
    assert tables(played.root) == played.before


def test_nothing_is_played_again_and_a_new_version_plays_its_own(again) -> None:
    listener = run(again)
    assert listener.started == {}
    assert not [text for text in listener.said if "not done yet" in text]
    (again / "entries" / "open-a" / "whitebox.py").write_text("# darker open-a\n")
    assert run(again).started == {"white": BATCHES, "open-a": 2 * BATCHES}, "it makes what attack-darken made"
    shutil.copyfile(again / "entries" / "open-b" / "inner" / "whitebox.py", again / "entries" / "open-b" / "inner" / "more")
    assert run(again).started == {"white": BATCHES, "grey": BATCHES, "open-b": 2 * BATCHES}
    rules(again, access=["grey_box"], max_epsilon=[16])
    listener = run(again)
    assert listener.started == {}
    assert any(text.startswith("white does not take part: its access is white_box, and the tournament has black_box, grey_box")
               for text in listener.said)
    rules(again, max_epsilon=[16])
    assert run(again).started == {}
    assert results(again).duels == ()


@pytest.mark.parametrize(("only", "started"), [
    (("white",), {"white": 2 * BATCHES, "open-a": BATCHES, "open-b": BATCHES}),
    (("open-a",), {"white": BATCHES, "open-a": 2 * BATCHES}),
    (("grey",), {"grey": BATCHES, "open-b": BATCHES}),
    (("attack-darken",), {"attack-darken": BATCHES, "defense-mean": BATCHES, "open-a": BATCHES, "open-b": BATCHES,
                          "detector-level": 2 * BATCHES}),
])
def test_only_some_of_them(again, only, started) -> None:
    shutil.rmtree(again / "state")
    found = run(again, Options(only=only)).started
    assert found == started


def test_fresh(again) -> None:
    assert run(again, Options(fresh=("white",), fresh_batch=1)).started == {"white": 2}
    assert run(again, Options(fresh=("open-a",), fresh_against="white")).started == {"open-a": 2 * BATCHES}, (
        "also on what attack-darken made: white made the same against open-b")


def test_fresh_of_one_pair(again) -> None:
    assert run(again, Options(fresh=("white",), fresh_against="open-b", fresh_batch=1)).started == {"white": 1}
    assert run(again, Options(fresh=("WHITE", "grey"), fresh_against="Open-B")).started == {"white": BATCHES, "grey": BATCHES}


def test_fresh_against_whom_it_does_not_meet(again) -> None:
    for name, against in (("white", "defense-mean"), ("white", "grey"), ("white", "clean"), ("attack-darken", "open-a"),
                          ("open-a", "open-b"), ("open-a", "detector-level"), ("grey", "open-a")):
        with pytest.raises(UnknownNameError, match=f"{name} has no results against {against} in the round default"):
            run(again, Options(fresh=(name,), fresh_against=against))
    assert run(again).started == {}


def duels_done(root: Path) -> dict[str, tuple[int, int]]:
    with Tournament(load(root / "tournament.yaml")) as tournament, tournament.read() as transaction:
        return {counts.access: (counts.done, counts.total) for counts in StatusReader(tournament, transaction).status().duels}


def test_counts(again) -> None:
    with Tournament(load(again / "tournament.yaml")) as tournament, tournament.read() as transaction:
        reader = RoundReader(tournament, transaction)
        totals = {member.name: reader.totals(reader.attack_states())[member.id] for member in reader.members}
        kinds = {kind.kind: (kind.done, kind.waiting) for kind in StatusReader(tournament, transaction).status().kinds}
    assert totals == {"attack-darken": 3, "white": 6, "grey": 3, "detector-level": 6, "defense-mean": 6, "open-a": 9, "open-b": 6}
    assert kinds == {"attack": (12, 0), "targeted_attack": (0, 0), "defense": (21, 0), "detector": (6, 0)}
    assert duels_done(again) == {"white_box": (6, 6), "grey_box": (3, 3)}
    runs = results(again).runs
    assert (runs.done, runs.total, runs.failed) == (39, 39, 0)
    # What a defense did in its duels is among its outcomes, each run once.
    assert {defense.name: dict(defense.outcomes) for defense in results(again).defenses} == {
        "defense-mean": {"ok": 6}, "open-a": {"ok": 9}, "open-b": {"ok": 6}}


def test_counts_of_two_attacks_on_one_opponent(again) -> None:
    make.entry(again / "entries" / "loud", "attack-bright", metadata={"access": "white_box"})
    # Against open-a it makes what white made.
    assert run(again).started == {"loud": 2 * BATCHES, "open-b": BATCHES}
    with Tournament(load(again / "tournament.yaml")) as tournament, tournament.read() as transaction:
        kinds = {kind.kind: (kind.done, kind.waiting) for kind in StatusReader(tournament, transaction).status().kinds}
    assert kinds == {"attack": (18, 0), "targeted_attack": (0, 0), "defense": (24, 0), "detector": (6, 0)}
    assert duels_done(again) == {"white_box": (12, 12), "grey_box": (3, 3)}
    runs = results(again).runs
    assert (runs.done, runs.total) == (48, 48)


def test_counts_before_the_end(again) -> None:
    shutil.rmtree(again / "state")
    run(again, Options(only=("grey",)))
    with Tournament(load(again / "tournament.yaml")) as tournament, tournament.read() as transaction:
        kinds = {kind.kind: (kind.done, kind.waiting) for kind in StatusReader(tournament, transaction).status().kinds}
    assert kinds == {"attack": (3, 9), "targeted_attack": (0, 0), "defense": (3, 24), "detector": (0, 6)}
    assert duels_done(again) == {"white_box": (0, 6), "grey_box": (3, 3)}
    with Tournament(load(again / "tournament.yaml")) as tournament:
        tournament.open_round(tournament.dataset(), sandbox="process", fresh=Fresh(["open-b"], batch=1))
    assert duels_done(again) == {"white_box": (0, 6), "grey_box": (2, 3)}, "one that was made and is not answered is not done"
    assert results(again).runs.total == 12 + 27 + 6


def test_mixed_batches_hold_nothing_of_duels(again) -> None:
    shutil.rmtree(again / "state")
    rules(again, access=["white_box", "grey_box"], max_epsilon=[16], mixed_batches=True)
    started = run(again).started
    # Two mixed batches of the clean images and one attack; the duels are batches of their own.
    assert started == {"attack-darken": BATCHES, "white": 2 * BATCHES, "grey": BATCHES, "detector-level": 2 * BATCHES,
                       "defense-mean": 2 * BATCHES, "open-a": 3 * BATCHES, "open-b": 3 * BATCHES}
    assert run(again).started == {}
    assert all(duels.done[duels.open].all() for duels in results(again).duels)


@pytest.mark.docker
def test_a_duel_between_containers(tmp_path) -> None:
    make.tournament(tmp_path, (), images=10)
    make.entry(tmp_path / "entries" / "white", "attack-reads", metadata={"access": "white_box"})
    make.entry(tmp_path / "entries" / "grey", "attack-reads", note="grey", metadata={"access": "grey_box"})
    defense(tmp_path, "inner", "darker", base="inner")
    rules(tmp_path, access=["white_box", "grey_box"], max_epsilon=[16])
    file = yaml.safe_load((tmp_path / "tournament.yaml").read_text())
    (tmp_path / "tournament.yaml").write_text(yaml.safe_dump(file | {"sandbox": file["sandbox"] | {"backend": "docker"}}))
    listener = run(tmp_path)
    assert listener.started == {"white": 1, "grey": 1, "inner": 2}
    assert {done.result.outcome for done in listener.runs} == {Outcome.OK}
    assert all(duels.done.all() and duels.produced.all() for duels in results(tmp_path).duels)


SERVED = {"protocol": "serve"}
#: Of attack-asks.
STEPS = (16, 12, 8, 4)
ASKS = SERVED | {"access": "query"}


def queries(root: Path, *, isolation: str = "run", backend: str = "process", images: int = 30, budget: int = 8) -> Path:
    """Two attacks by queries, a defense that serves, and one that does not.

    Images of these classes lie within the bound of each other, so that some rows are charged to two.
    """
    make.tournament(root, ("defense-mean",), images=images, sandbox={"isolation": isolation, "backend": backend})
    make.entry(root / "entries" / "asks", "attack-asks", metadata=ASKS)
    make.entry(root / "entries" / "aims", "attack-asks", note="aims", metadata=ASKS | {"type": "targeted_attack"})
    make.entry(root / "entries" / "serves", "defense-serves", metadata=SERVED)
    rules(root, access=["query"], query={"budget": budget}, max_epsilon=[16])
    return root


@pytest.fixture(scope="module", params=["run", "submission"])
def queried(request, tmp_path_factory) -> tuple[Path, Listener]:
    root = queries(tmp_path_factory.mktemp("queries"), isolation=request.param)
    return root, run(root)


def test_duels_by_queries_have_one_run_each(queried) -> None:
    root, listener = queried
    assert listener.started == {"asks": BATCHES, "aims": BATCHES, "defense-mean": BATCHES, "serves": BATCHES}
    assert {done.result.outcome for done in listener.runs} == {Outcome.OK}
    assert "Duels, query: 2 attacks x 2 defenses x 3 batches; open pairs: 2 of 4; 6 duels, 6 runs." in listener.said
    (duels,) = results(root).duels
    assert duels.open.tolist() == [[False, True], [False, True]]
    assert duels.done[duels.open].all()
    assert duels.counted.all()
    assert duels.queries is not None
    assert [entry.name for entry in duels.attacks] == ["aims", "asks"]
    assert ((duels.queries.charged[:, 1] >= 4) & (duels.queries.charged[:, 1] <= 8)).all()
    for image, record in enumerate(make.records()):
        labels = [round((np.clip(record.pixels.astype(int) - step, 0, 255).mean() - 12) / 25) for step in STEPS]
        labels = [max(0, min(9, label)) for label in labels]
        fooled = [number for number, label in enumerate(labels, 1) if label != record.label]
        hit = [number for number, label in enumerate(labels, 1) if label == record.target]
        for attack, found in ((1, fooled), (0, hit)):
            assert bool(duels.queries.first(attack)[1, image]) is bool(found)
            assert duels.queries.smallest(attack, 8)[1, image] == (STEPS[found[-1] - 1] if found else -1)
        worst = TARGET | LABELLED if hit else LABELLED if fooled else LABELLED | CORRECT
        assert duels.codes[0, 1, image] == duels.codes[1, 1, image] == worst


def test_a_duel_by_queries_is_not_played_again(queried, tmp_path) -> None:
    root = tmp_path / "t"
    shutil.copytree(queried[0], root)
    assert run(root).started == {}
    assert run(root, Options(fresh=("asks",), fresh_batch=1)).started == {"asks": 1}
    assert run(root, Options(fresh=("asks",), fresh_batch=1, fresh_against="serves")).started == {"asks": 1}
    isolation = yaml.safe_load((root / "tournament.yaml").read_text())["sandbox"]["isolation"]
    rules(root, access=["query"], query={"budget": 2}, max_epsilon=[16])
    assert run(root).started == {"asks": BATCHES, "aims": BATCHES}, f"another budget is another duel ({isolation})"
    (duels,) = results(root).duels
    assert duels.queries is not None
    assert (duels.queries.budget, duels.queries.charged.max()) == (2, 2)
    rules(root, access=["query"], query={"budget": 8}, max_epsilon=[16])
    again = run(root)
    assert again.started == {}
    assert "Each of these 6 runs has its result already." in again.said
    with Tournament(load(root / "tournament.yaml")) as tournament, tournament.read() as transaction:
        kinds = {kind.kind: (kind.done, kind.waiting) for kind in StatusReader(tournament, transaction).status().kinds}
    assert kinds == {"attack": (3, 0), "targeted_attack": (3, 0), "defense": (6, 0), "detector": (0, 0)}
    assert duels_done(root) == {"query": (6, 6)}
    assert (results(root).runs.done, results(root).runs.total) == (12, 12)


def test_scores_and_a_round_that_keeps_its_rules(queried, tmp_path) -> None:
    root = tmp_path / "t"
    shutil.copytree(queried[0], root)
    rules(root, access=["query"], query={"budget": 8, "answers": "scores"}, max_epsilon=[16])
    listener = run(root, Options(round_name="kept"))
    assert listener.started == {"asks": BATCHES, "aims": BATCHES}
    assert {(done.result.outcome, done.job.opponent.classes) for done in listener.runs if done.job.opponent} == {(Outcome.OK, 10)}
    rules(root, max_epsilon=[16])
    assert run(root, Options(round_name="kept", fresh=("asks",), fresh_batch=0)).started == {"asks": 1}
    assert run(root).started == {}


def test_an_opponent_that_fails_loses_what_was_not_decided(tmp_path) -> None:
    """It gives up at its fourth question: what was decided before stays, the rest leaves the attack's denominator."""
    queries(tmp_path, images=10)
    entry = tmp_path / "entries" / "serves" / "run"
    entry.write_text(entry.read_text().replace(
        "    asked = json.loads(line)\n", "    asked = json.loads(line)\n    px.asked = getattr(px, 'asked', 0) + 1\n"
        "    if px.asked > 3: os.write(1, (json.dumps({'batch': asked['batch'], 'error': 'no more'}) + chr(10)).encode())\n"))
    listener = run(tmp_path)
    (done,) = (done for done in listener.runs if done.job.name == "asks")
    assert done.result.outcome is Outcome.OK
    assert done.result.duel is not None
    assert done.result.duel.opponent.outcome is Outcome.EXITED_NONZERO
    (duels,) = results(tmp_path).duels
    assert duels.queries is not None
    won = duels.queries.first(1)[1] > 0
    assert 0 < won.sum() < 10
    assert (duels.counted[1, 1] == won).all()
    assert duels.produced[1, 1].all()
    assert (duels.codes[1, 1][~won] == 0).all()


def test_an_opponent_that_never_starts_is_no_fault_of_the_attack(tmp_path) -> None:
    queries(tmp_path, images=10)
    entry = tmp_path / "entries" / "serves" / "run"
    entry.write_text(entry.read_text().replace("os.write(1, b'{\"ready\"", "os._exit(4) or os.write(1, b'{\"ready\""))
    listener = run(tmp_path)
    outcomes = {done.job.name: (done.result.outcome, done.result.duel.opponent.outcome)
                for done in listener.runs if done.result.duel is not None}
    assert outcomes == dict.fromkeys(("asks", "aims"), (Outcome.OK, Outcome.EXITED_NONZERO))
    (duels,) = results(tmp_path).duels
    assert not duels.counted[:, 1].any()
    assert duels.produced[:, 1].all()
    assert not duels.codes[:, 1].any()
    assert run(tmp_path).started == {}


@pytest.mark.docker
def test_a_duel_by_queries_between_containers(tmp_path) -> None:
    listener = run(queries(tmp_path, images=10, backend="docker"), Options(only=("asks",)))
    assert listener.started == {"asks": 1}
    (duels,) = results(tmp_path).duels
    assert duels.queries is not None
    assert (duels.queries.charged[1, 1] >= 4).all()


SCORES_READ = """#!/usr/bin/env python3
import numpy
from harness.sdk import run_query_attack
def attack(images, bound, oracle):
    labels, scores = oracle(images, numpy.arange(len(images)))
    assert scores.shape == (len(images), 10) and (scores.argmax(1) == labels).all(), scores
    return images
run_query_attack(attack)
"""


def test_scores_are_answered_where_the_rules_say_so(tmp_path) -> None:
    queries(tmp_path, images=10)
    shutil.rmtree(tmp_path / "entries" / "aims")
    rules(tmp_path, access=["query"], query={"budget": 3, "answers": "scores"}, max_epsilon=[16])
    (tmp_path / "entries" / "asks" / "run").write_text(SCORES_READ)
    entry = tmp_path / "entries" / "serves" / "run"
    before, line, after = entry.read_text().rpartition("            file.write(")
    level, end = "px.level(data[at * size:(at + 1) * size])", after.index("\n")
    entry.write_text(f"{before}            one = {level}\n"
                     f"{line}','.join([name, *map(str, [one, *(int(k == one) for k in range(10))])]) + '\\n'){after[end:]}")
    listener = run(tmp_path)
    (done,) = (done for done in listener.runs if done.job.name == "asks")
    assert done.result.outcome is Outcome.OK, done.result.report.stderr
