"""Query duels between real programs: the budget exact to the count, and what was found kept, whatever either side does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from harness import sdk
from harness.execution.query_broker import DuelResult, DuelSide
from harness.formats.result_csv import NO_LABEL
from harness.sandbox.base import Sandbox
from harness.sandbox.outcomes import Ending, Outcome
from harness.sandbox.process import ProcessSandbox
from harness.tracks import Threat

from .query_sides import ANSWER, BOUND, BUDGET, CLEAN, FIRST, Seat, Watched, attacker, duel, opponent, played

SDK = Path(sdk.__file__).read_text()


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> ProcessSandbox:
    return ProcessSandbox(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def containers() -> Iterator[Sandbox]:
    from harness.sandbox.docker import DockerSandbox

    sandbox = DockerSandbox()
    yield sandbox
    sandbox.remove_code_images(MADE)
    sandbox.api.close()


#: Digests of the programs that ran in containers, whose code images are removed at the end.
MADE: set[str] = set()
IMAGE = "localhost/harness-light:1"


class Table:
    """One honest opponent that stays through all duels, as it would in a contest, and a new attack for each."""

    def __init__(self, sandbox: Sandbox, root: Path, image: str | None = None) -> None:
        self.sandbox, self.root, self.image = sandbox, root, image
        self.seats: list[Seat] = []
        self.honest = self.seat(opponent(), "defense")
        self.watched = Watched(self.honest.session)

    def seat(self, text: str, track: str, **files: str) -> Seat:
        seat = Seat(self.sandbox, self.root / str(len(self.seats)), text, track, self.image, **files)
        MADE.add(seat.digest)
        self.seats.append(seat)
        return seat

    def play(self, text: str, limit_s: float = 30, against: DuelSide | None = None, **changes: Any) -> DuelResult:
        """A duel of a new attack; what the opponent was shown lies in ``watched`` then."""
        attack = self.seat(text, "attack")
        if against is None:
            self.watched = Watched(self.honest.session)
            against = replace(self.honest.side, session=self.watched)  # type: ignore[arg-type]
        try:
            return played(duel(**changes), attack.limited(limit_s), against)
        finally:
            attack.close()

    @property
    def shown(self) -> int:
        """Rows that the opponent was shown in the last duel."""
        return sum(map(len, self.watched.rows))

    def close(self) -> None:
        for seat in self.seats:
            seat.close()


@pytest.fixture(scope="module")
def table(processes, tmp_path_factory) -> Iterator[Table]:
    table = Table(processes, tmp_path_factory.mktemp("table"))
    yield table
    table.close()


@pytest.fixture(scope="module")
def docker_table(containers, tmp_path_factory) -> Iterator[Table]:
    table = Table(containers, tmp_path_factory.mktemp("table"), IMAGE)
    yield table
    table.close()


HONEST = "for step in (3, 9, 2, 1): print(sorted(ask(all_moved(step), every)), flush=True)\nend(all_moved(4))"
#: Of each image the label that three, two, one and (at the end) four steps give; nine steps are beyond the bound.
HONEST_FOUND = [(image, first + step, number, step) for image, first in enumerate(FIRST)
                for step, number in ((1, 4), (2, 3), (3, 1), (4, 5))]


def assert_exact(table: Table, result: DuelResult, twice: int = 0) -> None:
    """What holds in every duel against the honest opponent; ``twice`` rows showed another image than they were about."""
    assert result.counts.max() <= BUDGET
    assert int(result.counts.sum()) == table.shown + twice, "what was charged is what the opponent was shown"
    assert all(len(rows) <= len(CLEAN) for rows in table.watched.rows)
    assert result.batches == len(table.watched.rows)
    assert result.opponent.outcome is Outcome.OK
    for image, label, number, change in result.findings.by_label():
        assert label - FIRST[image] == change <= BOUND, "what was measured is what was labelled"
        assert 1 <= number <= result.counts[image]
    assert not list((table.honest.side.workspace / "in").iterdir())


def test_an_honest_duel(table) -> None:
    result = table.play(attacker(HONEST))
    assert_exact(table, result)
    assert (result.attack.outcome, result.opponent.outcome, result.final) == (Outcome.OK, Outcome.OK, True)
    assert result.findings.by_label() == HONEST_FOUND
    assert result.counts.tolist() == [5] * 4
    assert result.attack.report.stdout.splitlines()[0] == str([first + 3 for first in FIRST])
    assert str([first + 9 for first in FIRST]) in result.attack.report.stdout, "what is beyond the bound is answered"
    assert result.batches == 5


class Hostile(NamedTuple):
    """What an attacker does, and what comes of it: queries charged in all, pairs of image and label found."""

    work: str
    outcome: Outcome
    said: str
    charged: int
    found: Any  # ... for whatever is
    limit_s: float = 30


ENDED = Outcome.EXITED_NONZERO
FIVE = "for step in range(5): ask(all_moved(1), every)\n"
ATTACKERS = {
    "a flood of one token": Hostile("lay(all_moved(1), every)\nfor _ in range(1000): say(query=token)\nhear()\ntime.sleep(60)",
                                    ENDED, "before its previous query", 4, 4),
    "a token that it guesses": Hostile("lay(all_moved(1), every)\nsay(query='0123456789abcdef')\ntime.sleep(60)", ENDED,
                                       "before its previous query", 0, 0),
    "yesterday's token": Hostile("old = token\nask(all_moved(1), every)\nsay(query=old)\ntime.sleep(60)", ENDED,
                                 "before its previous query", 4, 4),
    "asks without a question": Hostile("say(query=token)\ntime.sleep(60)", ENDED, "there is no index.npy", 0, 0),
    "lies about indices: none of the batch": Hostile("ask(all_moved(1), [0, 1, 2, 4])", ENDED, "from 0 to 3", 0, 0),
    "lies about indices: below zero": Hostile("ask(all_moved(1), [0, 1, 2, -1])", ENDED, "from 0 to 3", 0, 0),
    "lies about indices: enormous": Hostile("ask(all_moved(1), [0, 1, 2, 2**62])", ENDED, "from 0 to 3", 0, 0),
    "lies about indices: all are one image's": Hostile(
        "for _ in range(4): ask(all_moved(1), [0] * 4)\ndone()", Outcome.OK, "", 5 + 3, 1),
    "more rows than a batch": Hostile("ask(all_moved(1) * 2, every * 2)", ENDED, "not an array int64[0 to 4]", 0, 0),
    "more rows than indices": Hostile("ask(all_moved(1), [0])", ENDED, "has 4 rows and index.npy 1", 0, 0),
    "wrong shape": Hostile("lay(all_moved(1), every)\nnpy('queries.npy', '|u1', (4, 12), bytes(48))\nsay(query=token)\nhear()",
                           ENDED, "not an array uint8", 0, 0),
    "floating point": Hostile("lay(all_moved(1), every)\nnpy('queries.npy', '<f4', (1, 2, 2, 3), bytes(48))\n"
                              "say(query=token)\nhear()", ENDED, "not an array uint8", 0, 0),
    "objects": Hostile("lay(all_moved(1), every)\nnpy('index.npy', '|O', (4,), bytes(32))\nsay(query=token)\nhear()",
                       ENDED, "not an array int64", 0, 0),
    "a header that promises a terabyte": Hostile(
        "lay(all_moved(1), every)\nnpy('queries.npy', '|u1', (10**12, 2, 2, 3), bytes(48))\nsay(query=token)\nhear()", ENDED,
        "not an array uint8", 0, 0),
    "a giant array": Hostile("lay(all_moved(1), every)\nnpy('queries.npy', '|u1', (400000, 2, 2, 3), bytes(4800000))\n"
                             "say(query=token)\nhear()", ENDED, "more than", 0, 0),
    "a sparse array": Hostile("lay(all_moved(1), every)\nos.truncate(asked['output'] + '/queries.npy', 60 << 20)\n"
                              "say(query=token)\nhear()", ENDED, "more than", 0, 0),
    "cut short": Hostile("lay(all_moved(1), every)\nos.truncate(asked['output'] + '/queries.npy', 140)\nsay(query=token)\nhear()",
                         ENDED, "cut short", 0, 0),
    "a link": Hostile("lay(all_moved(1), every)\nos.rename(asked['output'] + '/queries.npy', asked['output'] + '/q')\n"
                      "os.symlink('q', asked['output'] + '/queries.npy')\nsay(query=token)\nhear()", ENDED, "symbolic link", 0, 0),
    "a link to a device": Hostile("lay(all_moved(1), every)\nos.unlink(asked['output'] + '/index.npy')\n"
                                  "os.symlink('/dev/zero', asked['output'] + '/index.npy')\nsay(query=token)\nhear()", ENDED,
                                  "symbolic link", 0, 0),
    "a second name": Hostile("lay(all_moved(1), every)\nos.link(asked['output'] + '/queries.npy', asked['output'] + '/q')\n"
                             "say(query=token)\nhear()", ENDED, "hard link", 0, 0),
    "a pipe": Hostile("lay(all_moved(1), every)\nos.unlink(asked['output'] + '/queries.npy')\n"
                      "os.mkfifo(asked['output'] + '/queries.npy')\nsay(query=token)\nhear()", ENDED, "a pipe", 0, 0),
    "a directory": Hostile("lay(all_moved(1), every)\nos.unlink(asked['output'] + '/queries.npy')\n"
                           "os.mkdir(asked['output'] + '/queries.npy')\nsay(query=token)\nhear()", ENDED, "a directory", 0, 0),
    "takes its output away": Hostile("lay(all_moved(1), every)\nos.rename(asked['output'], asked['output'] + '-')\n"
                                     "say(query=token)\nhear()", ENDED, "there is no index.npy", 0, 0),
    "dies in the middle of a question": Hostile("ask(all_moved(1), every)\nlay(all_moved(2), every)\nsay(query=token)\nos._exit(3)",
                                                ENDED, "", 8, 8),
    "hangs in the middle of a question": Hostile("ask(all_moved(1), every)\ntime.sleep(60)", Outcome.TIME_LIMIT, "limit", 4, 4,
                                                 1.5),
    "asks on after the budget": Hostile("for _ in range(30): print(ask(all_moved(1), every), flush=True)\ndone()",
                                        Outcome.OK, "", 20, 4),
    "tiny questions without end": Hostile("while True: ask(images[:1], [0])", Outcome.TIME_LIMIT, "limit", 5, 1, 2),
    "empty questions without end": Hostile("while True: ask([], [])", Outcome.TIME_LIMIT, "limit", 0, 0, 2),
    "JSON without end": Hostile("os.write(1, b'{\"query\":' + b'[' * 60000 + b'\\n')\n"
                                "for _ in range(30): os.write(1, b'{\"query\": \"' + b'x' * 60000)\nos.write(1, b'\"}\\n')\n"
                                "ask(all_moved(1), every)\ndone()", Outcome.OK, "", 4, 4),
    "lines that look like questions": Hostile("while True: os.write(1, b'{\"query\": 7}\\n' * 4000)", ENDED,
                                              "look like answers", 0, 0),
    "an answer before the question": Hostile("done()\nlay(all_moved(1), every)\nsay(query=token)", Outcome.NO_OUTPUT, "", 0, 0),
    "a question and its end at once": Hostile("lay(all_moved(1), every)\nsay(query=token)\ndone()", Outcome.OK, "", 4, 4),
    "ready again": Hostile("ask(all_moved(1), every)\nsay(ready=True)\ntime.sleep(60)", ENDED, "another batch", 4, 4),
    "ends for another batch": Hostile("ask(all_moved(1), every)\nsay(batch='0', done=True)\ntime.sleep(60)", ENDED,
                                      "another batch", 4, 4),
    "gives up": Hostile("ask(all_moved(1), every)\nsay(batch=asked['batch'], error='no luck')", ENDED, "no luck", 4, 4),
    "returns what it never asked": Hostile("end(all_moved(2))", Outcome.OK, "", 4, 4),
    "returns more than the bound": Hostile("end(all_moved(60))", Outcome.OK, "", 4, 4),
    "returns with nothing left": Hostile(FIVE + "end(all_moved(2))", Outcome.OK, "", 20, 4),
    "returns a link": Hostile("ask(all_moved(1), every)\nos.symlink('queries.npy', asked['output'] + '/images.npy')\ndone()",
                              Outcome.BAD_OUTPUT, "", 4, 4),
    "asks for the bound's other side": Hostile("ask(all_moved(20), every)\ndone()", Outcome.OK, "", 4, 0),
}


@pytest.mark.parametrize("name", ATTACKERS)
def test_hostile_attackers(table, name) -> None:
    row = ATTACKERS[name]
    result = table.play(attacker(row.work), row.limit_s)
    assert_exact(table, result, twice=row.charged - table.shown if "all are one image's" in name else 0)
    detail = f"{result.attack.report.detail} {result.attack.notes}"
    assert result.attack.outcome is row.outcome, detail
    assert row.said in detail
    assert (int(result.counts.sum()), len(result.findings.by_label())) == (row.charged, row.found)
    assert result.final


def test_what_is_beyond_the_budget_is_said(table) -> None:
    result = table.play(attacker(ATTACKERS["asks on after the budget"].work))
    lines = result.attack.report.stdout.splitlines()
    assert lines[5:] == ["[-2, -2, -2, -2]"] * 25
    assert "-2" not in "".join(lines[:5])


def test_a_row_that_shows_another_image_costs_both_and_finds_nothing_for_either(table) -> None:
    result = table.play(attacker(ATTACKERS["lies about indices: all are one image's"].work))
    assert sorted(result.counts.tolist()) == [1, 1, 1, 5]
    (found,) = result.findings.by_label()
    assert found[0] == int(result.counts.argmax())


def test_rewriting_a_question_after_it_was_asked_is_of_no_use(table) -> None:
    """Any moment of the file may be the one that is read; that one is what is shown and what is measured.

    The images lie 50 apart: nothing that is written shows another one.
    """
    race = """
lay(all_moved(1), every)
number = os.open(asked['output'] + '/queries.npy', os.O_WRONLY)
begin = os.fstat(number).st_size - SIZE * len(images)
def rewrite():
    while True:
        for step in (1, 15, 2, 24): os.pwrite(number, b''.join(all_moved(step)), begin)
for _ in range(2): threading.Thread(target=rewrite, daemon=True).start()
for _ in range(5):
    say(query=token)
    hear()
done()
"""
    result = table.play(attacker(race))
    assert_exact(table, result)
    assert result.attack.outcome is Outcome.OK, result.attack
    assert result.counts.tolist() == [5] * 4


def test_what_it_claims_at_the_end_is_brought_within_the_bound(table) -> None:
    result = table.play(attacker("end(all_moved(60))"))
    assert result.findings.by_label() == [(image, first + BOUND, 1, BOUND) for image, first in enumerate(FIRST)]


class Foe(NamedTuple):
    """What an opponent does, how it and the attack end, queries charged, what was found."""

    work: str
    outcome: Outcome
    said: str
    charged: int
    found: Any  # ... for whatever is


SHORT = "labels = labels[:2]\n" + ANSWER
OPPONENTS = {
    "slow": Foe("if count == 3: time.sleep(60)\n" + ANSWER, Outcome.TIME_LIMIT, "limit", 12, 4),
    "crashes": Foe("if count == 3: time.sleep(3); sys.exit(4)\n" + ANSWER, ENDED, "", 12, 4),
    "crashes as soon as it is let go on": Foe("if count == 3: sys.exit(4)\n" + ANSWER, Outcome.OK, "", 20, ...),
    "reports an error": Foe("if count == 3: say(batch=asked['batch'], error='no')\n" + ANSWER, ENDED, "no", 12, 4),
    "answers for another batch": Foe("if count == 3: say(batch='0', done=True)\n" + ANSWER, ENDED, "another batch", 12, 4),
    "answers short": Foe(SHORT, Outcome.OK, "", 20, ...),
    "answers nothing": Foe("say(batch=asked['batch'], done=True)", Outcome.NO_OUTPUT, "", 20, 4),
    "answers no numbers": Foe("labels = ['x' for _ in labels]\n" + ANSWER.replace("%d", "%s"), Outcome.BAD_OUTPUT, "", 20, 4),
    "answers as the harness does": Foe("labels = [-2 for _ in labels]\n" + ANSWER, Outcome.OK, "", 20, 4),
    "changes its answers": Foe("labels = [label + 100 * count for label in labels]\n" + ANSWER, Outcome.OK, "", 20, ...),
    "leaves between two batches": Foe(ANSWER + "os._exit(0)", Outcome.OK, "", 20, ...),
    "leaves a link": Foe("os.symlink('/etc/passwd', asked['output'])\nsay(batch=asked['batch'], done=True)", Outcome.BAD_OUTPUT, "",
                         20, 4),
    "asks too": Foe("say(query='a')\n" + ANSWER, Outcome.OK, "", 20, ...),
}


@pytest.mark.parametrize("name", OPPONENTS)
def test_hostile_opponents(table, name) -> None:
    row = OPPONENTS[name]
    foe = table.seat(opponent(row.work), "defense")
    result = table.play(attacker(HONEST), against=foe.limited(1.5 if row.outcome is Outcome.TIME_LIMIT else 30))
    foe.close()
    failed = row.charged < 20
    assert result.opponent.outcome is row.outcome, result.opponent
    assert row.said in result.opponent.report.detail
    assert result.attack.outcome is Outcome.OK, result.attack
    assert result.final
    assert int(result.counts.sum()) == row.charged
    assert row.found is ... or len(result.findings.by_label()) == row.found
    assert not failed or "opponent" in result.attack.report.detail


def test_an_opponent_that_failed_is_not_asked_again_at_the_attacks_end(table) -> None:
    """Its failure is its own outcome, however the attack ended: asked anew, it would be the host's, and the duel without end."""

    class TooLarge(Watched):
        def serve(self, request, cancel, oracle=None):
            return replace(self._session.serve(request, cancel, oracle), ending=Ending.MEMORY_LIMIT)

    foe = table.seat(opponent(OPPONENTS["reports an error"].work), "defense")
    attack = table.seat(attacker("ask(all_moved(3), every)\nask(all_moved(2), every)\n"
                                 "lay(all_moved(1), every)\nnpy('images.npy', '|u1', (len(images), 2, 2, 3), b''.join(images))\n"
                                 "say(query=token)\nsys.stdin.readline()"), "attack")
    result = played(duel(), replace(attack.side, session=TooLarge(attack.session)), foe.side)
    foe.close()
    attack.close()
    assert (result.opponent.outcome, result.attack.outcome, result.batches) == (ENDED, Outcome.MEMORY_LIMIT, 3)
    assert result.final


def test_an_opponent_that_leaves_between_two_batches_is_started_anew(table) -> None:
    foe = table.seat(opponent(OPPONENTS["leaves between two batches"].work), "defense")
    result = table.play(attacker(HONEST), against=foe.side)
    foe.close()
    assert result.findings.by_label() == HONEST_FOUND


def test_no_label_is_an_answer_and_no_answer_passes_for_the_budgets_end(table) -> None:
    foe = table.seat(opponent(OPPONENTS["answers as the harness does"].work), "defense")
    result = table.play(attacker(HONEST), against=foe.side)
    foe.close()
    assert {found[1] for found in result.findings.by_label()} == {-2}, "it is kept as it was given"
    assert "-2" not in result.attack.report.stdout
    assert str([NO_LABEL] * 4) in result.attack.report.stdout
    foe = table.seat(opponent(SHORT), "defense")
    result = table.play(attacker(HONEST), against=foe.side)
    foe.close()
    assert result.attack.report.stdout.count(str(NO_LABEL)) == 2 * 4
    assert NO_LABEL in {found[1] for found in result.findings.by_label()}


def test_the_attacks_clock_stands_while_the_opponent_works(table) -> None:
    foe = table.seat(opponent("time.sleep(0.6)\n" + ANSWER), "defense")
    result = table.play(attacker(HONEST), 2.5, against=foe.limited(2.5))
    foe.close()
    assert (result.attack.outcome, result.opponent.outcome) == (Outcome.OK, Outcome.OK), result
    assert result.opponent.report.wall_s >= 5 * 0.6, "the opponent's limit is one of each batch"
    assert result.attack.report.wall_s < 2.5


def test_the_attacks_own_time_is_one_clock_over_all_questions(table) -> None:
    result = table.play(attacker("while True:\n    ask(all_moved(1), every)\n    time.sleep(0.4)"), 1.0)
    assert_exact(table, result)
    assert result.attack.outcome is Outcome.TIME_LIMIT
    assert 1.0 <= result.attack.report.wall_s < 2.0
    assert 4 <= int(result.counts.sum()) <= 12


def test_the_opponent_sees_a_batch_like_any_other(table) -> None:
    table.play(attacker(HONEST))
    requests, orders = table.watched.requests, set()
    assert len({name for request in requests for name in request.names}) == sum(len(request.names) for request in requests)
    for request, files, rows in zip(requests, table.watched.files, table.watched.rows, strict=True):
        assert files == ["images.npy"]
        assert request.epsilon is None
        assert list(request.names) == sorted(request.names)
        assert request.input_dir.name == request.output_name
        assert request.input_dir.name.startswith("run-")
        orders.add(tuple(np.argsort(rows[:, 0, 0, 0])))
    assert len(orders) > 1, "rows are shuffled anew for each"


def test_an_opponent_that_reads_files(table) -> None:
    """As the SDK's does, started without arrays: PNG files of the harness's own encoder."""
    look = """asked['names'] = os.listdir(asked['input'])
labels = [0] * len(asked['names'])
sizes = {os.path.getsize(asked['input'] + '/' + name) for name in asked['names']}
assert len(sizes) == 1
"""
    text = opponent(look + ANSWER)
    text = text.replace(", arrays=True", "").replace("data = read_npy(asked['array'])", "data, asked['names'] = b'0', ['']")
    foe = table.seat(text, "defense")
    watched = Watched(foe.session)
    result = table.play(attacker(HONEST), against=replace(foe.side, session=watched))
    foe.close()
    assert (result.attack.outcome, result.opponent.outcome) == (Outcome.OK, Outcome.OK), result
    assert {found[1] for found in result.findings.by_label()} == {0}
    for request, files in zip(watched.requests, watched.files, strict=True):
        assert request.array is None
        assert len(files) == 4
        assert all(name.endswith(".png") for name in files)


def test_an_attack_that_takes_no_arrays_is_told_so(table) -> None:
    result = table.play(attacker(HONEST).replace(", arrays=True", ""))
    assert result.attack.outcome is ENDED
    assert "as an array" in result.attack.report.detail
    assert result.counts.sum() == 0


def test_a_cancelled_duel_counts_for_nothing(table) -> None:
    cancel = threading.Event()
    attack, foe = table.seat(attacker(HONEST), "attack"), table.seat(opponent("time.sleep(60)"), "defense")
    threading.Timer(0.3, cancel.set).start()
    result = played(duel(), attack.side, foe.side, cancel)
    assert result.opponent.outcome is Outcome.CANCELLED
    assert not result.final


def test_a_host_that_fails_is_nobodys_score(table) -> None:
    attack, foe = table.seat(attacker(HONEST), "attack"), table.seat(opponent(), "defense")
    foe.close()
    result = played(duel(), attack.side, foe.side)
    assert (result.opponent.report.ending, result.final) == (Ending.HOST_ERROR, False)
    attack, foe = table.seat(attacker(HONEST), "attack"), table.seat(opponent(), "defense")
    attack.close()
    result = played(duel(), attack.side, foe.side)
    assert (result.attack.report.ending, result.final) == (Ending.HOST_ERROR, False)


@pytest.mark.parametrize(("threat", "bound", "change"), [
    (Threat.LINF, 8, 2), (Threat.L2, 10, 2), (Threat.PATCH, 1, 1), (Threat.UNRESTRICTED, 255, 2)])
def test_every_threat(table, threat, bound, change) -> None:
    result = table.play(attacker("ask(all_moved(2), every)\ndone()"), threat=threat, bound=bound)
    assert result.findings.by_label() == [(image, first + 2, 1, change) for image, first in enumerate(FIRST)]


QUERY_ATTACK = """#!/usr/bin/env python3
import numpy
from query_sdk import run_query_attack
def attack(images, bound, oracle):
    every = numpy.arange(len(images))
    print("clean", sorted(oracle(images, every).tolist()), oracle.budget, flush=True)
    moved = images.copy()
    moved[:, 0, 0, 0] += bound
    twice = oracle(numpy.concatenate([moved, moved]), numpy.concatenate([every, every]))
    assert twice.tolist() == moved[[*every, *every], 0, 0, 0].tolist()
    assert oracle(images[:0], every[:0]).tolist() == []
    assert oracle(numpy.repeat(images[:1], 3, 0), numpy.zeros(3, int)).tolist()[-1] == -2
    for wrong in (images / 255, images[:, :1], images[:1]):
        try: oracle(wrong, every)
        except TypeError as error: assert "uint8 array of shape (4, 2, 2, 3)" in str(error), error
        else: assert False
    try: oracle(images, every + 1)
    except ValueError as error: assert "from 0 to 3" in str(error)
    else: assert False
    return moved
run_query_attack(attack)
"""
TARGETED = """#!/usr/bin/env python3
import numpy
from query_sdk import run_targeted_query_attack
def attack(images, targets, bound, oracle):
    moved = images.copy()
    moved[:, 0, 0, 0] = targets
    oracle(moved, numpy.arange(len(images)))
    return moved
run_targeted_query_attack(attack)
"""


def sdk_duel(table: Table) -> None:
    attack = table.seat(QUERY_ATTACK, "attack", query_sdk=SDK)
    result = played(duel(), attack.side, table.honest.side)
    assert (result.attack.outcome, result.opponent.outcome) == (Outcome.OK, Outcome.OK), result
    assert result.findings.by_label() == sorted(
        [(image, first, 1, 0) for image, first in enumerate(FIRST)]
        + [(image, first + BOUND, 2, BOUND) for image, first in enumerate(FIRST)])
    assert f"clean {list(FIRST)} {BUDGET}" in result.attack.report.stderr, "it goes to stderr, as all that an SDK entry prints"
    again = played(duel(), attack.side, table.honest.side)
    assert again.findings.by_label() == result.findings.by_label(), "a program plays duel after duel"
    attack.close()


def test_the_sdks_oracle(table) -> None:
    sdk_duel(table)


def test_the_sdks_targeted_oracle(table) -> None:
    attack = table.seat(TARGETED, "targeted_attack", query_sdk=SDK)
    targets = np.array([first + 1 + image for image, first in enumerate(FIRST)], np.int32)
    result = played(duel(targets=targets), attack.side, table.honest.side)
    attack.close()
    assert result.findings.by_label() == [(image, int(target), 1, image + 1) for image, target in enumerate(targets)]


@pytest.mark.docker
@pytest.mark.alone  # two processes would share images of the same code, and the first one that has done removes them
class TestInContainers:
    """A handful of the same, where freezing, mounts and the program's user are another matter."""

    def test_the_sdks_oracle(self, docker_table) -> None:
        sdk_duel(docker_table)

    @pytest.mark.parametrize("name", [
        "a flood of one token", "dies in the middle of a question", "a link", "tiny questions without end",
        "a question and its end at once", "returns more than the bound"])
    def test_hostile_attackers(self, docker_table, name) -> None:
        test_hostile_attackers(docker_table, name)

    def test_rewriting_a_question(self, docker_table) -> None:
        test_rewriting_a_question_after_it_was_asked_is_of_no_use(docker_table)

    @pytest.mark.parametrize("name", ["slow", "crashes", "leaves between two batches"])
    def test_hostile_opponents(self, docker_table, name) -> None:
        test_hostile_opponents(docker_table, name)


SCORED = """#!/usr/bin/env python3
import numpy
from query_sdk import run_query_attack
def attack(images, bound, oracle):
    every = numpy.arange(len(images))
    assert oracle.classes == 3
    labels, scores = oracle(images, every)
    assert labels.dtype == numpy.int64 and scores.dtype == numpy.float32 and scores.shape == (4, 3)
    first = images[:, 0, 0, 0].astype(int)
    assert labels.tolist() == first.tolist()
    without = first == 60
    assert numpy.array_equal(numpy.isnan(scores).all(1), without) and numpy.isnan(scores).sum() == 3
    assert numpy.array_equal(scores[~without, 1], first[~without] / 2)
    assert oracle.labels(images, every).tolist() == first.tolist()
    labels, scores = oracle(numpy.repeat(images[:1], 5, 0), numpy.zeros(5, int))
    assert labels.tolist()[3:] == [-2, -2] and numpy.isnan(scores[3:]).all()
    labels, scores = oracle(images[:0], every[:0])
    assert labels.shape == (0,) and scores.shape == (0, 3)
    return images
run_query_attack(attack)
"""
#: One of its images has no scores.
WITH_SCORES = """open(asked['output'], 'w').write(''.join(
    f'{name},{label}' + f',{label},{label / 2},0,7' * (label != 60) + '\\n' for name, label in zip(asked['names'], labels)))
say(batch=asked['batch'], done=True)
"""


def test_scores_beside_labels(table) -> None:
    foe = table.seat(opponent(WITH_SCORES), "defense")
    attack = table.seat(SCORED, "attack", query_sdk=SDK)
    result = played(duel(classes=3), attack.side, foe.side)
    attack.close()
    foe.close()
    assert (result.attack.outcome, result.opponent.outcome) == (Outcome.OK, Outcome.OK), result
    assert [found[:3] for found in result.findings.by_label()] == [(image, first, 1) for image, first in enumerate(FIRST)]
