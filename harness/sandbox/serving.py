"""An open program that serves batch after batch, the same in both sandboxes.

It is frozen from its answer until the next batch, so that its outputs do not change while they are read and it cannot work on other
entries' time. Any fault kills it. A program that exits by itself after an answer has answered: that batch counts, and the next one
gets a new program, whether it exited before it was frozen or after it was thawed again. Which of the two it was depends on our
speed, and is no fault of the host's.

A batch's clock runs from before the program is thawed until it is frozen again. A program restarted in the middle of a batch
sees nothing of it before it is ready, and what its start takes is the batch's time: else it would work while it "starts".

A batch may have an oracle. Then the program may ask in between: it is frozen before its question is read, so that the question
holds still as outputs do, and goes on when the answers lie in its input. The clock stands as long as somebody else works on them.
A question that gives nobody any work is on the program's own clock: an endless row of those ends at its limit.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from harness.sandbox import contract
from harness.sandbox.base import Limits, Oracle, RunReport, RunRequest
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea
from harness.sandbox.protocol import MAX_CANDIDATE_BYTES, MAX_CANDIDATES, Answer, LineReader, reply_line, request_line
from harness.sandbox.running import OVERSLEPT_S, Running, State, conclude, report
from harness.sandbox.watch import Check, Verdict, Watch

#: A request fits into the pipe of a program that is not reading yet; one that never reads is found by its limit.
_SEND_S = 10.0
#: A program that is gone this soon after it was thawed was exiting when it was frozen.
_PARTING_S = 1.0


@dataclass(frozen=True)
class Place:
    """Where the batches and the outputs lie, for us and for the program; and its opponent's code, where it may read that."""

    host_input: Path
    input: PurePath
    output: PurePath
    target: PurePath | None = None


@dataclass
class Opened:
    """What a sandbox has started.

    Attributes:
        reader: Takes its stdout.
        checks: What is looked at while it works.
        remove: Removes what the sandbox made for it; called once, after the program's own end.
        arrays: Whether it said that pixels may come as an array.
        ready_s: From its start until it stood, ready.
    """

    running: Running
    reader: LineReader
    output: OutputArea
    place: Place
    checks: Sequence[Check]
    remove: Callable[[], None] = lambda: None
    arrays: bool = False
    ready_s: float = 0.0


Starter = Callable[[OutputArea], Opened | RunReport]


class ServedProgram:
    """See ``Session``. Use ``open_session`` to make one."""

    def __init__(self, opened: Opened, start: Starter) -> None:
        self.output = opened.output
        self.accepts_arrays = opened.arrays
        self.memory_bytes = opened.running.held_bytes()
        self._start = start
        self._hold(opened)

    def _hold(self, opened: Opened) -> None:
        self._opened = opened
        self._running = opened.running
        self._alive = True
        self._closed = False
        self._answered = False
        self._left = False

    @property
    def alive(self) -> bool:
        """Whether it can take another batch."""
        return self._alive

    def serve(self, request: RunRequest, cancel: threading.Event, oracle: Oracle | None = None) -> RunReport:
        """See ``Session.serve``."""
        try:
            if self._left:
                return self._serve_restarted(request, cancel, oracle, 0.0)
            return self._serve(request, cancel, oracle, 0.0)
        except BaseException:  # Ctrl-C, or a fault of an oracle's: in the middle of a batch, it can serve no other
            self._end()
            raise

    def _serve(self, request: RunRequest, cancel: threading.Event, oracle: Oracle | None, used_s: float) -> RunReport:
        """One batch, of whose time ``used_s`` was used already."""
        if self._answered:
            self._running.pump(0)
            self._running.stdout.clear()
            self._running.stderr.clear()
        fault = self._ready_for(request)
        if fault is not None:
            return self._over(report(self._running, None, self._running.kill() or fault, used_s))
        before = self._running.use()
        watch = Watch(request.limits.time_limit_s, cancel, self.output, list(self._opened.checks))
        told = self._ask(request, watch, oracle, used_s)
        if told is None:
            return self._serve_restarted(request, cancel, oracle, watch.elapsed_s)
        if not isinstance(told, Answer):
            return self._over(told)
        verdict, wall_s = self._stop(watch)
        if verdict is not None or told.error is not None:
            if told.error is not None and verdict is None:
                verdict = Verdict(Ending.FINISHED, f"The program reported: {told.error}")
            failed = report(self._running, None, self._running.kill() or verdict, wall_s)
            return self._over(replace(failed, exit_code=1) if told.error is not None else failed)
        self._answered = True
        done = report(self._running, State(0), None, wall_s)
        if done.cpu_s is not None:
            done = replace(done, cpu_s=max(0.0, done.cpu_s - (before.cpu_s or 0.0)))
        if self._running.left:
            self._left = True
            return self._over(done)
        self.memory_bytes = self._running.held_bytes()
        return done

    def _stop(self, watch: Watch) -> tuple[Verdict | None, float]:
        """Freeze it after its answer: why the answer does not count, if so, and how long it worked."""
        answered_s = watch.elapsed_s
        verdict = self._running.freeze() or watch.output_verdict()
        # It may work until it is frozen; one that has exited does not.
        wall_s = answered_s if self._running.left else watch.elapsed_s
        if answered_s > watch.limit_s + OVERSLEPT_S:
            verdict = Verdict(Ending.HOST_ERROR, "The harness was stopped while the program worked: its time is unknown.")
        elif wall_s > watch.limit_s + OVERSLEPT_S:
            verdict = Verdict(Ending.TIME_LIMIT, f"It answered, but was frozen only after {wall_s:.2f} s; "
                              f"the limit is {watch.limit_s:g} s.")
        return verdict, wall_s

    def _serve_restarted(self, request: RunRequest, cancel: threading.Event, oracle: Oracle | None, used_s: float) -> RunReport:
        """The batch from a new program in place of one that had exited; the batch's clock keeps running."""
        began = time.monotonic()
        self._end()
        left_s = max(0.0, request.limits.time_limit_s - used_s)
        limits = replace(request.limits, start_limit_s=min(request.limits.start_limit_s, left_s))
        try:
            with self._batch_hidden(request):
                opened = _start_ready(self._start, self.output, limits, cancel)
        except OSError as error:
            return RunReport(Ending.HOST_ERROR, detail=f"The batch could not be moved ({error}).")
        took_s = time.monotonic() - began
        if isinstance(opened, RunReport):
            if opened.ending is Ending.TIME_LIMIT and limits.start_limit_s == left_s:
                late = ("It had exited after the previous batch, and was not ready again within the "
                        f"{request.limits.time_limit_s:g} s of this one.")
                opened = replace(opened, detail=late)
            return replace(opened, start_s=max(0.0, took_s - opened.wall_s), wall_s=used_s + opened.wall_s)
        self._hold(opened)
        done = self._serve(request, cancel, oracle, used_s + opened.ready_s)
        restarted = "The program had exited after the previous batch; it was restarted."
        return replace(done, start_s=max(0.0, took_s - opened.ready_s), detail=done.detail or restarted)

    @contextlib.contextmanager
    def _batch_hidden(self, request: RunRequest) -> Iterator[None]:
        """Keep the batch, and its partial output, from a program that is not ready."""
        aside = self._opened.place.host_input.parent / "aside"
        request.input_dir.rename(aside)
        try:
            if not self.output.clear():
                problem = "its partial output could not be removed"
                raise OSError(problem)
            yield
        finally:
            aside.rename(request.input_dir)
            request.output_dir.mkdir(exist_ok=True)

    def with_log(self, report: RunReport) -> RunReport:
        """See ``Session.with_log``."""
        self._take_log()
        return replace(report, stdout=self._running.stdout.text(), stderr=self._running.stderr.text())

    def _take_log(self) -> None:
        """Take what was printed and has not been read; nothing is written any more while the program is frozen."""
        if not self._closed:
            self._running.take_log()

    def close(self) -> None:
        """See ``Session.close``."""
        self._left = False
        self._end()
        self.output.close()

    def _ready_for(self, request: RunRequest) -> Verdict | None:
        """Make the batch's output directory in an empty output area; why that is not available."""
        if not self._alive:
            return Verdict(Ending.HOST_ERROR, "The program was closed.")
        if self._opened.reader.answers:
            return Verdict(Ending.FINISHED, "The program answered more often than it was asked.")
        try:
            if not self.output.clear():
                return Verdict(Ending.HOST_ERROR, "The output of the previous batch could not be removed.")
            request.output_dir.mkdir(exist_ok=True)
            request.output_dir.chmod(0o777)
        except OSError as error:
            return Verdict(Ending.HOST_ERROR, f"The output area cannot be used ({error}).")
        return None

    def _ask(self, request: RunRequest, watch: Watch, oracle: Oracle | None, used_s: float) -> Answer | RunReport | None:
        """Let it work on one batch until it answers; a report where it does not, None where it had exited before."""
        place = self._opened.place
        token = secrets.token_hex(8)
        inside = place.input / request.input_dir.absolute().relative_to(place.host_input)
        array = None if request.array is None else str(inside / request.array.name)
        questions = None if oracle is None else _Questions(self._opened, request, oracle)
        line = request_line(token, str(inside), contract.output(request.track, place.output / request.output_name),
                            request.epsilon, array, request.names, None if questions is None else questions.offer(),
                            None if place.target is None else str(place.target))
        # Before it is thawed, which takes an engine a while: what it does meanwhile is done for the batch.
        watch.begun = time.monotonic() - used_s
        self._opened.reader.new_batch(queries=oracle is not None)
        refused = self._running.thaw()
        let_go = time.monotonic()
        if refused is None and self._running.send(line, min(_SEND_S, watch.limit_s)):
            answer = await_answer(self._opened, watch)
        else:
            # It died while it was frozen, or does not read: its end, or its limit, says which.
            answer = refused or await_answer(self._opened, watch)
        while questions is not None and isinstance(answer, Answer) and answer.query is not None:
            answer = self._stop(watch)[0] or questions.settle(answer.query, watch) or await_answer(self._opened, watch)
        if isinstance(answer, Answer) and answer.batch != token:
            answer = Verdict(Ending.FINISHED, "The program answered for another batch than it was asked for.")
        if isinstance(answer, Answer):
            return answer
        parted = self._answered and (questions is None or not questions.count)
        if (isinstance(answer, State) and parted and not answer.out_of_memory
                and self._ran_after_thaw_s(answer, let_go) < _PARTING_S):
            return None
        return _ended(self._running, answer, watch)

    def _ran_after_thaw_s(self, state: State, let_go: float) -> float:
        """From when it was thawed to its end, which a busy host reports long after it happened."""
        noticed_s = time.monotonic() - let_go
        return noticed_s if state.wall_s is None else min(noticed_s, self._running.began + state.wall_s - let_go)

    def _over(self, last: RunReport) -> RunReport:
        self._end()
        return last

    def _end(self) -> None:
        """End the program; its outputs stay readable until ``close``."""
        self._alive = False
        if not self._closed:
            self._closed = True
            self._running.remove()
            self._opened.remove()


class _Questions:
    """The queries of a program in the middle of one batch.

    Attributes:
        count: Questions that came so far.
    """

    def __init__(self, opened: Opened, request: RunRequest, oracle: Oracle) -> None:
        self.count = 0
        self._opened, self._request, self._oracle = opened, request, oracle
        self._token = secrets.token_hex(8)
        self._answers: Path | None = None

    def offer(self) -> dict[str, object]:
        """What the program is told of it with the batch."""
        offered: dict[str, object] = {"token": self._token, "budget": self._oracle.budget, "rows": self._oracle.rows}
        return offered | ({"classes": self._oracle.classes} if self._oracle.classes else {})

    def settle(self, token: str, watch: Watch) -> Verdict | None:
        """Answer one query of a frozen program and thaw it; a verdict where it has to be killed."""
        began, self.count = time.monotonic(), self.count + 1
        if token != self._token:
            return Verdict(Ending.FINISHED, "The program queried its oracle before its previous query was answered.")
        answered = self._oracle.answer(self._request.output_dir)
        if isinstance(answered, Verdict):
            return answered
        try:
            name = self._put(answered.data)
        except OSError as error:
            return Verdict(Ending.HOST_ERROR, f"The oracle's answers could not be written ({error}).")
        place, self._token = self._opened.place, secrets.token_hex(8)
        inside = place.input / self._request.input_dir.absolute().relative_to(place.host_input) / name
        self._opened.reader.new_batch(queries=True)
        if answered.asked:
            watch.begun += time.monotonic() - began
        refused = watch.look() or self._opened.running.thaw()
        if refused is None:
            # Where it is not taken, the program's end or its limit says why.
            self._opened.running.send(reply_line(token, str(inside), self._token), min(_SEND_S, watch.limit_s))
        return refused

    def _put(self, data: bytes) -> str:
        """Write the answers where the program reads; never into a file that it has seen, on which it may hold locks."""
        name = f"answers-{secrets.token_hex(8)}.npy"
        aside, target = self._opened.place.host_input.parent / name, self._request.input_dir / name
        aside.write_bytes(data)
        aside.chmod(0o444)
        aside.rename(target)
        if self._answers is not None:
            self._answers.unlink(missing_ok=True)
        self._answers = target
        return name


def open_session(start: Starter, workspace: Path, limits: Limits,
                 cancel: threading.Event | None) -> ServedProgram | RunReport:
    """Start a program in a new output area and wait until it says that it is ready.

    A report, and nothing left of it, where it does not.
    """
    began = time.monotonic()
    area = OutputArea(workspace / "out", limits.output_bytes, limits.output_files)
    try:
        source = workspace / "in"
        source.mkdir(parents=True, exist_ok=True)
        source.chmod(0o755)
        area.__enter__()
    except OSError as error:
        return RunReport(Ending.HOST_ERROR, detail=f"The workspace cannot be made ({error}).")
    opened = _start_ready(start, area, limits, cancel)
    if isinstance(opened, Opened):
        return ServedProgram(opened, start)
    area.close()
    return replace(opened, start_s=time.monotonic() - began)


def _start_ready(start: Starter, area: OutputArea, limits: Limits, cancel: threading.Event | None) -> Opened | RunReport:
    """Start a program and wait until it is ready; nothing is left of one that fails to start."""
    opened = start(area)
    failed = _await_ready(opened, limits, cancel) if isinstance(opened, Opened) else opened
    if failed is not None and isinstance(opened, Opened):
        opened.running.remove()
        opened.remove()
    return failed or opened


def _await_ready(opened: Opened, limits: Limits, cancel: threading.Event | None) -> RunReport | None:
    """Freeze it as soon as it is ready; a report where it does not become ready."""
    watch = Watch(limits.start_limit_s, cancel or threading.Event(), opened.output, list(opened.checks))
    answer = await_answer(opened, watch)
    if isinstance(answer, Answer) and answer.batch is not None:
        answer = Verdict(Ending.FINISHED, "The program answered before it was asked.")
    if isinstance(answer, Answer):
        refused = opened.running.freeze()
        if refused is None:
            opened.arrays, opened.ready_s = answer.arrays, watch.elapsed_s
            return None
        answer = refused
    failed = _ended(opened.running, answer, watch)
    if isinstance(answer, State) and answer.exit_code == 0 and failed.ending is Ending.FINISHED:
        return replace(failed, ending=Ending.START_FAILED, detail="The program ended before it said that it was ready.")
    return failed


def await_answer(opened: Opened, watch: Watch) -> Answer | State | Verdict:
    """The program's next answer, or how it ended, or why it has to be ended."""
    running, reader = opened.running, opened.reader
    while True:
        running.pump(watch.wait_s())
        # The answer first: one that came in time counts.
        if reader.answers:
            return reader.answers.popleft()
        if reader.flooded:
            return Verdict(Ending.FINISHED, f"The program printed more than {MAX_CANDIDATES} lines, "
                           f"or {MAX_CANDIDATE_BYTES >> 20} MiB, that look like answers but are not.")
        verdict = watch.look()
        if verdict is not None:
            return verdict
        if running.ended() and not reader.answers:
            how = running.settle(watch)
            # Its answer may have been in its last output.
            return reader.answers.popleft() if reader.answers and isinstance(how, State) else how


def _ended(running: Running, how: State | Verdict, watch: Watch) -> RunReport:
    """The report of a program that ended, or has to be ended, without the answer that was waited for."""
    state, verdict = (how, None) if isinstance(how, State) else (None, how)
    ended = conclude(running, state, verdict, watch)
    if ended.ending is Ending.FINISHED and ended.exit_code == 0:
        return replace(ended, exit_code=None, detail="The program ended before it answered.")
    return ended
