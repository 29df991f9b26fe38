"""Serving, in both sandboxes: the protocol kept, and every way of breaking it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.sandbox import serving as serving_module
from harness.sandbox.base import Answered, Oracle, RunReport, RunRequest, Session
from harness.sandbox.docker import freezer
from harness.sandbox.docker.freezer import Freezer
from harness.sandbox.outcomes import Ending
from harness.sandbox.serving import ServedProgram
from harness.sandbox.watch import Verdict

from .conftest import LIMITS, Bench

pytestmark = pytest.mark.alone  # its limits are those of a host at rest

HEAD = """#!/usr/bin/env python3
import json, os, signal, sys, time
def say(**message): print(json.dumps(message), flush=True)
assert sys.argv[1:] == ["serve"]
"""
LOOP = """say(ready=True{more})
for line in sys.stdin:
    asked = json.loads(line)
    {work}
    say(batch=asked['batch'], done=True)
"""
COPY = """for n in os.listdir(asked['input']):
    open(asked['output'] + '/' + n, 'wb').write(open(asked['input'] + '/' + n, 'rb').read())
"""


def serving(work: str, more: str = "", before: str = "") -> str:
    return HEAD + before + LOOP.format(more=more, work=work.replace("\n", "\n    "))


class Desk:
    """Opens one program and serves batches from it."""

    def __init__(self, sandbox, bench: Bench, root: Path) -> None:
        self.sandbox, self.bench, self.root = sandbox, bench, root
        self.session: Session | None = None
        self.count = 0

    def open(self, text: str, limits=LIMITS, track: str = "attack") -> RunReport | None:
        self.track, self.limits = track, limits
        opened = self.sandbox.open(self.bench.program(text), track, self.root, limits, None, {"run": "1"})
        if isinstance(opened, RunReport):
            return opened
        assert isinstance(opened, ServedProgram)
        self.session = opened
        return None

    def serve(self, *, cancel: threading.Event | None = None, array: bool = False,
              oracle: Oracle | None = None) -> tuple[RunReport, dict[str, bytes]]:
        assert self.session is not None
        self.count += 1
        name = f"batch{self.count}"
        source = self.root / "in" / name
        source.mkdir()
        (source / "x.png").write_bytes(name.encode())
        if array:
            np.save(source / "images.npy", np.zeros((1, 2, 2, 3), np.uint8))
        request = RunRequest(
            self.bench.program(""), self.track, source, self.session.output, 8 if self.track == "attack" else None, self.limits,
            output_name=name, array=source / "images.npy" if array else None, names=["x.png"] if array else [])
        report = self.session.serve(request, cancel or threading.Event(), oracle)
        shutil.rmtree(source)
        outputs = {path.name: path.read_bytes() for path in request.output_dir.iterdir() if path.is_file()}
        return self.session.with_log(report), outputs


@contextlib.contextmanager
def closing(desk: Desk) -> Iterator[Desk]:
    """Whatever fails: a mount that stays is in the way of every later test."""
    try:
        yield desk
    finally:
        if desk.session is not None:
            desk.session.close()
            assert not desk.session.output.path.exists()


@pytest.fixture
def desk(sandbox, bench, tmp_path):
    with closing(Desk(sandbox, bench, tmp_path / "workspace")) as desk:
        yield desk


@pytest.fixture
def docker_desk(docker_sandbox, bench, tmp_path):
    with closing(Desk(docker_sandbox, bench, tmp_path / "workspace")) as desk:
        yield desk


def test_each_batch_has_what_was_printed_for_it(desk) -> None:
    """Also what was printed to stderr at the very last moment, which an engine brings later than the answer."""
    assert desk.open(serving(COPY + "print('did', asked['input'][-2:], file=sys.stderr, flush=True)")) is None
    logs = [desk.serve()[0].stderr for _ in range(30)]
    assert logs == [f"did {f'batch{number}'[-2:]}\n" for number in range(1, 31)]


def test_serves_batch_after_batch(desk) -> None:
    assert desk.open(serving(COPY + "print('did', asked['epsilon'])")) is None
    assert desk.session.accepts_arrays is False
    for number in (1, 2, 3):
        report, outputs = desk.serve()
        assert report.ending is Ending.FINISHED, report
        assert report.exit_code == 0
        assert outputs == {"x.png": f"batch{number}".encode()}
        assert report.stdout == "did 8\n"
        assert len(list(desk.session.output.path.iterdir())) == 1
    assert desk.session.alive
    assert desk.session.memory_bytes > 1 << 20


def test_what_is_handed_over_behind_the_answer_belongs_to_its_batch(desk, monkeypatch) -> None:
    """An engine reads stdout and stderr on their own, so the answer may overtake what was printed before it."""
    assert desk.open(serving(COPY)) is None
    desk.serve()
    running = desk.session._running
    late = [b"late\n", b"later\n", b"of the next\n"]
    pump = running.pump

    def also_late(timeout_s: float) -> None:
        pump(timeout_s)
        if timeout_s == 0 and late:
            running.stderr.feed(late.pop(0))

    monkeypatch.setattr(running, "pump", also_late)
    assert desk.session.with_log(RunReport(Ending.FINISHED)).stderr == "late\n"
    assert desk.serve()[0].stderr == "of the next\n", "what came too late for its own batch is nobody's"
    assert desk.serve()[0].stderr == ""


def test_a_defense_gets_the_path_of_its_file(desk) -> None:
    assert desk.open(serving("open(asked['output'], 'w').write(str(asked['epsilon']))"), track="defense") is None
    assert desk.serve()[1] == {"result.csv": b"None"}


def test_arrays(desk) -> None:
    work = "open(asked['output'] + '/n', 'w').write(asked['names'][0] + str(os.path.getsize(asked['array'])))"
    assert desk.open(serving(work, more=", arrays=True")) is None
    assert desk.session.accepts_arrays is True
    assert desk.serve(array=True)[1] == {"n": b"x.png140"}


@pytest.mark.parametrize("by_engine", [False, True], ids=["by itself", "by the engine"])
def test_frozen_between_batches(desk, monkeypatch, by_engine) -> None:
    if by_engine:
        monkeypatch.setattr(Freezer, "freeze", lambda _: False)
    # The program's clock is ours. It answers when it has ticked again, so that it is seen to go on.
    ticker = """import threading
ticks = []
def tick():
    while True: ticks.append(time.monotonic()); time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
"""
    work = """asked_at = time.monotonic()
while not ticks or ticks[-1] < asked_at: time.sleep(0.01)
open(asked['output'] + '/n', 'w').write(json.dumps(ticks))"""
    assert desk.open(serving(work, before=ticker)) is None
    assert desk.serve()[0].exit_code == 0
    frozen = time.monotonic()
    time.sleep(0.5)
    let_go = time.monotonic()
    ticks = json.loads(desk.serve()[1]["n"])
    assert ticks[0] < frozen
    assert ticks[-1] > let_go
    assert [tick for tick in ticks if frozen <= tick <= let_go] == []


FAULTS = {
    "past its limit": ("time.sleep(60)", Ending.TIME_LIMIT, None, "1.5 s"),
    "reports an error": ("say(batch=asked['batch'], error='no luck'); time.sleep(60)", Ending.FINISHED, 1, "no luck"),
    "ends without an answer": ("sys.exit(0)", Ending.FINISHED, None, "before it answered"),
    "crashes": ("sys.exit(4)", Ending.FINISHED, 4, ""),
    "answers for another": ("say(batch='0', done=True); time.sleep(60)", Ending.FINISHED, None, "another batch"),
    # It is killed, or the full disk ends it first.
    "writes too much": ("open(asked['output'] + '/x', 'wb').write(bytes(9 << 20))", Ending.OUTPUT_LIMIT, ..., "allowed"),
    "never ends its line": ("\nwhile True: sys.stdout.write('{' * 65536)", Ending.TIME_LIMIT, None, "1.5 s"),
    "floods with braces": ("\nwhile True: os.write(1, b'{\\n' * 30000)", Ending.TIME_LIMIT, None, "1.5 s"),
    "floods with what looks like answers": ("\nwhile True: os.write(1, b'{\"batch\"\\n' * 7000)", Ending.FINISHED, None,
                                            "10000 lines"),
    "closes its stdout": ("os.close(1); time.sleep(60)", Ending.TIME_LIMIT, None, "1.5 s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_it(desk, fault) -> None:
    work, ending, exit_code, detail = FAULTS[fault]
    # Only what must meet its limit has a short one.
    limits = dataclasses.replace(LIMITS, time_limit_s=1.5) if ending is Ending.TIME_LIMIT else LIMITS
    assert desk.open(serving(work), limits) is None
    report, _ = desk.serve()
    assert report.ending is ending, report
    assert exit_code is ... or report.exit_code == exit_code
    assert detail in report.detail
    assert not desk.session.alive
    (desk.root / "in" / "late").mkdir()
    late = RunRequest(desk.bench.program(""), "attack", desk.root / "in" / "late", desk.session.output, 8, LIMITS)
    assert desk.session.serve(late, threading.Event()).ending is Ending.HOST_ERROR


PARTINGS = {
    "at once": "os._exit(0)",
    "with a code": "os._exit(3)",
    "by a signal": "os.abort()",
    # It stands in the middle of its end, and goes on with it when the next batch lets it go on.
    "a little later": "time.sleep(0.02); os._exit(0)",
}
FLOOD = "os.write(1, b'\\n' * (1 << 20))\n"


@pytest.mark.parametrize("flood", ["", FLOOD], ids=["", "behind a flood"])
@pytest.mark.parametrize("parting", PARTINGS)
def test_one_that_leaves_after_its_answer_has_answered(desk, parting, flood) -> None:
    text = serving(COPY + flood + "say(batch=asked['batch'], done=True)\n" + PARTINGS[parting])
    for number in (1, 2, 3):
        if desk.session is None or not desk.session.alive:
            if desk.session is not None:
                desk.session.close()
            assert desk.open(text) is None
        report, outputs = desk.serve()
        assert (report.ending, report.exit_code) == (Ending.FINISHED, 0), report
        assert outputs == {"x.png": f"batch{number}".encode()}


def test_one_that_left_is_started_anew_where_it_is_asked_all_the_same(desk) -> None:
    assert desk.open(serving(COPY + FLOOD + "say(batch=asked['batch'], done=True)\nos._exit(0)")) is None
    for number in (1, 2, 3):
        report, outputs = desk.serve()
        assert (report.ending, report.exit_code, outputs) == (Ending.FINISHED, 0, {"x.png": f"batch{number}".encode()}), report
    desk.session.close()
    (desk.root / "in" / "late").mkdir()
    late = RunRequest(desk.bench.program(""), "attack", desk.root / "in" / "late", desk.session.output, 8, LIMITS)
    assert desk.session.serve(late, threading.Event()).ending is Ending.HOST_ERROR


@pytest.mark.docker
@pytest.mark.parametrize("by_engine", [False, True], ids=["by its group", "by the engine"])
def test_a_container_that_left_is_known_to_have_left(docker_desk, monkeypatch, by_engine) -> None:
    if by_engine:
        monkeypatch.setattr(freezer, "group_file", lambda *_: None)
    desk = docker_desk
    assert desk.open(serving(COPY + FLOOD + "say(batch=asked['batch'], done=True)\nos._exit(0)")) is None
    running = desk.session._running
    freeze = running.freeze

    def late() -> Verdict | None:
        """As where the harness reads the answer, behind the flood, long after it was given."""
        while running._drained(running._described)["State"]["Running"]:
            time.sleep(0.01)
        return freeze()

    monkeypatch.setattr(running, "freeze", late)
    report, outputs = desk.serve()
    assert (report.ending, report.exit_code, list(outputs)) == (Ending.FINISHED, 0, ["x.png"]), report
    assert not desk.session.alive


def test_one_that_was_gone_before_the_batch_is_started_anew(desk) -> None:
    assert desk.open(serving(COPY)) is None
    assert desk.serve()[0].detail == ""
    end_it(desk)
    report, outputs = desk.serve()
    assert (report.ending, report.exit_code) == (Ending.FINISHED, 0), report
    assert outputs == {"x.png": b"batch2"}
    assert "restarted" in report.detail
    assert report.start_s > 0
    assert desk.session.alive
    assert desk.serve()[0].detail == ""


#: It goes away in the middle of its second batch, so early that it may have been on its way out before.
LEAVES = "globals().update(count=globals().get('count', 0) + 1)\nif count == 2: os._exit(0)\n"


def test_when_it_went_is_what_counts_and_not_when_that_was_noticed(desk, monkeypatch) -> None:
    assert desk.open(serving(LEAVES + COPY)) is None
    assert desk.serve()[0].exit_code == 0
    settle = desk.session._running.settle

    def late(watch):
        time.sleep(serving_module._PARTING_S)
        return settle(watch)

    monkeypatch.setattr(desk.session._running, "settle", late)
    report, outputs = desk.serve()
    assert (report.ending, outputs) == (Ending.FINISHED, {"x.png": b"batch2"}), report
    assert "restarted" in report.detail


def test_nothing_of_a_batch_is_in_sight_before_the_program_is_ready_again(desk) -> None:
    look = f"""import glob
def look(): return [path for root in ('/batches', '/output', {str(desk.root)!r}) for path in glob.glob(root + '/**', recursive=True)
                    if os.path.basename(path) in ('batch1', 'batch2', 'begun')]
seen = look()
time.sleep(0.3)
seen += look()
"""
    work = LEAVES.replace("count == 2", "count == 2 and not open(asked['output'] + '/begun', 'w').write('x' * 9) == 0")
    assert desk.open(serving(work + COPY + "open(asked['output'] + '/seen', 'w').write(str(seen))", before=look)) is None
    assert desk.serve()[1]["seen"] == b"[]"
    report, outputs = desk.serve()
    assert report.ending is Ending.FINISHED, report
    assert outputs == {"x.png": b"batch2", "seen": b"[]"}
    assert "restarted" in report.detail
    assert report.wall_s > 0.3, "a start in the middle of a batch is the batch's time"
    assert report.start_s > 0


def test_a_start_in_the_middle_of_a_batch_ends_with_the_batchs_limit(desk) -> None:
    limits = dataclasses.replace(LIMITS, time_limit_s=2.5, start_limit_s=30)
    assert desk.open(serving(LEAVES + COPY, before="time.sleep(3)\n"), limits) is None
    report, outputs = desk.serve()
    assert (report.ending, list(outputs)) == (Ending.FINISHED, ["x.png"]), "the first start is nobody's batch"
    assert report.wall_s < 2.5
    report, outputs = desk.serve()
    assert (report.ending, outputs) == (Ending.TIME_LIMIT, {}), report
    assert "not ready again" in report.detail
    assert 2.5 <= report.wall_s < 30, "a start's own limit is longer"
    assert not desk.session.alive


def test_a_batch_whose_time_ran_out_half_in_a_start(desk) -> None:
    # Where the batch's clock began anew with the second start, it would end after 5 s at the earliest.
    text = serving(LEAVES + "if count == 1 and asked['output'].endswith('2'): time.sleep(60)\n" + COPY, before="time.sleep(2)\n")
    assert desk.open(text, dataclasses.replace(LIMITS, time_limit_s=3)) is None
    assert desk.serve()[0].ending is Ending.FINISHED
    report, _ = desk.serve()
    assert report.ending is Ending.TIME_LIMIT
    assert 3 <= report.wall_s < 5


@pytest.mark.parametrize(("call", "took_s", "ending"), [
    ("thaw", 0.4, Ending.FINISHED), ("freeze", 0.4, Ending.FINISHED), ("freeze", 2.2, Ending.TIME_LIMIT),
])
def test_what_a_program_can_do_until_it_stands_is_its_time(desk, monkeypatch, call, took_s, ending) -> None:
    assert desk.open(serving(COPY), dataclasses.replace(LIMITS, time_limit_s=1)) is None
    real = getattr(desk.session._running, call)

    def slow():
        done = real() if call == "thaw" else None
        time.sleep(took_s)
        return done if call == "thaw" else real()

    monkeypatch.setattr(desk.session._running, call, slow)
    report, _ = desk.serve()
    assert report.ending is ending
    assert report.wall_s > took_s


def test_processes_of_other_sessions_are_frozen_too(desk) -> None:
    """Also while they beget each other as fast as they can."""
    chain = """
def chain():
    while True:
        try: child = os.fork()
        except OSError: continue
        if child == 0: os.setsid(); continue
        open(os.path.join(os.environ.get('HOME', '/tmp'), 'ticks'), 'a').write(f'{time.monotonic()}\\n'); os._exit(0)
if os.fork() == 0:
    os.close(0); chain()
"""
    work = """ticks = os.path.join(os.environ.get('HOME', '/tmp'), 'ticks')
asleep = os.path.getsize(ticks) if os.path.exists(ticks) else 0
while not os.path.exists(ticks) or os.path.getsize(ticks) < asleep + 1000:
    time.sleep(0.01)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass  # in a container the dead are this one's, and count
    except ChildProcessError: pass
open(asked['output'] + '/ticks', 'w').write(open(ticks).read())
"""
    assert desk.open(serving(work, before=chain)) is None
    desk.serve()
    frozen = time.monotonic()
    time.sleep(0.5)
    thawed = time.monotonic()
    ticks = [float(line) for line in desk.serve()[1]["ticks"].split(b"\n")[:-1]]
    assert len(ticks) >= 100
    # Each tells its time and then writes: one may have been stopped between the two.
    assert [tick for tick in ticks if frozen < tick < thawed] == [], "it went on while nobody asked"


def end_it(desk: Desk) -> None:
    """The program ends while it is frozen and nobody looks."""
    assert desk.session._running.thaw() is None  # type: ignore[attr-defined]
    assert desk.session._running.kill() is None  # type: ignore[attr-defined]


def test_one_that_does_not_come_up_again(desk) -> None:
    assert desk.open(serving(COPY)) is None
    assert desk.serve()[0].ending is Ending.FINISHED
    end_it(desk)
    desk.session._start = lambda _: RunReport(Ending.START_FAILED, detail="not again")
    report, _ = desk.serve()
    assert (report.ending, report.detail) == (Ending.START_FAILED, "not again")
    assert not desk.session.alive


@pytest.mark.parametrize("work", [
    "time.sleep(1.2 * asked['output'].endswith('2'))\nif asked['output'].endswith('2'): sys.exit(0)",
    "if 'more' in globals(): time.sleep(60)\nmore = 1",
], ids=["ends", "past its limit"])
def test_a_later_batch_is_charged_with_its_own_end(desk, work) -> None:
    assert desk.open(serving(work), dataclasses.replace(LIMITS, time_limit_s=2.5)) is None
    assert desk.serve()[0].exit_code == 0
    report, _ = desk.serve()
    assert report.exit_code is None
    assert report.ending in {Ending.FINISHED, Ending.TIME_LIMIT}
    assert not desk.session.alive


def test_one_that_leaves_when_it_is_ready_never_answered(desk) -> None:
    assert desk.open(HEAD + "say(ready=True)\nos._exit(0)") is None
    report, _ = desk.serve()
    assert (report.ending, report.exit_code, report.detail) == (Ending.FINISHED, None, "The program ended before it answered.")
    assert not desk.session.alive


def test_an_answer_too_many_is_found_at_the_next_batch(desk) -> None:
    assert desk.open(serving("say(batch='1', done=True) if not hasattr(sys, 'once') else None", before="")) is None
    report, _ = desk.serve()
    assert "another batch" in report.detail


class Asked:
    """An oracle whose answers are the questions, which it cannot always give."""

    budget, rows, classes = 7, 3, 0

    def __init__(self, fault: Exception | None = None, asked: bool = True) -> None:
        self.fault, self.asked = fault, asked

    def answer(self, output_dir: Path) -> Answered:
        if self.fault is not None:
            raise self.fault
        time.sleep(0.5)
        return Answered((output_dir / "question").read_bytes(), self.asked)


ASKS = """token = asked['query']['token']
for question in range(4):
    open(asked['output'] + '/question', 'w').write(str(question))
    say(query=token)
    reply = json.loads(sys.stdin.readline())
    token = reply['next']
    told = asked['query']
    print(open(reply['answers']).read(), len(os.listdir(asked['input'])), told['budget'], told['rows'], flush=True)
"""


def test_a_question_in_the_middle_of_a_batch(desk) -> None:
    assert desk.open(serving(ASKS), dataclasses.replace(LIMITS, time_limit_s=1.9)) is None
    report, _ = desk.serve(oracle=Asked())
    assert (report.ending, report.exit_code) == (Ending.FINISHED, 0), report
    assert report.stdout == "0 2 7 3\n1 2 7 3\n2 2 7 3\n3 2 7 3\n", "of the answers only the last lie there"
    assert report.wall_s < 1.9, "the four answers took 2 s, which were not its own"
    report, _ = desk.serve(oracle=Asked(asked=False))
    assert report.ending is Ending.TIME_LIMIT, "what gives nobody any work is on its own clock"


def test_without_an_oracle_a_question_is_something_printed(desk) -> None:
    assert desk.open(serving("print(json.dumps({'query': 'a'}), 'query' in asked)")) is None
    report, _ = desk.serve()
    assert (report.exit_code, report.stdout) == (0, '{"query": "a"} False\n')


def test_a_fault_in_the_middle_of_a_batch_ends_the_program(desk) -> None:
    assert desk.open(serving(ASKS)) is None
    with pytest.raises(KeyError):
        desk.serve(oracle=Asked(KeyError("a fault of ours")))
    assert not desk.session.alive


def test_cancelled_while_serving(desk) -> None:
    assert desk.open(serving("time.sleep(60)")) is None
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    report, _ = desk.serve(cancel=cancel)
    assert report.ending is Ending.CANCELLED
    assert not desk.session.alive


BAD_STARTS = {
    "not ready in time": (HEAD + "time.sleep(60)", Ending.TIME_LIMIT, None),
    "ends before it is ready": (HEAD, Ending.START_FAILED, None),
    "crashes at its start": (HEAD + "raise SystemExit(5)", Ending.FINISHED, 5),
    "answers before it is asked": (HEAD + "say(batch='1', done=True); time.sleep(60)", Ending.FINISHED, None),
    "not executable text": ("nothing", Ending.START_FAILED, ...),
}


@pytest.mark.parametrize("start", BAD_STARTS)
def test_does_not_come_up(desk, start) -> None:
    text, ending, exit_code = BAD_STARTS[start]
    report = desk.open(text, dataclasses.replace(LIMITS, start_limit_s=1.5) if ending is Ending.TIME_LIMIT else LIMITS)
    assert report is not None
    assert report.ending is ending, report
    assert exit_code is ... or report.exit_code == exit_code
    assert not (desk.root / "out").exists()
