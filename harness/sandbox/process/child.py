"""The harness's side of one supervised program: its pipes, its limits, its end."""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from harness.sandbox.base import Limits
from harness.sandbox.outcomes import Ending
from harness.sandbox.pace import Pace
from harness.sandbox.process.family import Family, Look
from harness.sandbox.protocol import LineReader
from harness.sandbox.running import NotStartedError, ResourceUsage, State
from harness.sandbox.tail import LogTail
from harness.sandbox.watch import Verdict, Watch

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_CHUNK = 1 << 16
_OPEN_FILES = 16384
#: How long the supervisor may take to start or to report: it kills for up to five seconds.
_PATIENCE_S = 10.0
#: Why the kernel refused to start a program, for the author.
_REFUSALS = {
    errno.ENOENT: "no such file, or its first line names a missing interpreter or ends in CR LF",
    errno.EACCES: "permission denied: the file is not executable",
    errno.ENOEXEC: "exec format error: no #! line, or made for another architecture",
    errno.ENOTDIR: "a part of the path is not a directory",
}


class Child:
    """A started program. Use ``started`` to make one."""

    def __init__(self, supervisor: subprocess.Popen[bytes], control: socket.socket, limits: Limits,
                 reader: LineReader | None) -> None:
        self.stdout, self.stderr = reader.log if reader else LogTail(), LogTail()
        self._supervisor = supervisor
        self._control = control
        self._limits = limits
        self._sinks: dict[int, Callable[[bytes], None]] = {
            _number(supervisor.stdout): reader.feed if reader else self.stdout.feed,
            _number(supervisor.stderr): self.stderr.feed}
        self._pace = Pace()
        self._family = Family(supervisor.pid)
        self._received = b""
        self._end: dict[str, Any] | None = None
        self._group = 0
        self._peak = 0
        self.began = time.monotonic()

    @classmethod
    def started(cls, argv: Sequence[str], cwd: Path, env: Mapping[str, str], limits: Limits,
                reader: LineReader | None = None) -> Self:
        """Start a program under a supervisor; one that serves has a stdin, and its stdout goes to ``reader``.

        Raises:
            NotStartedError: With the reason; nothing is left behind.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # -I and -S: nothing of the environment or of site-packages may run in the supervisor.
                supervisor = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_SUPERVISOR), str(theirs.fileno())], pass_fds=[theirs.fileno()],
                    stdin=subprocess.PIPE if reader else subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, start_new_session=True, env=dict(env))
            except OSError as error:
                ours.close()
                raise NotStartedError(Verdict(Ending.HOST_ERROR, f"No process could be started ({error}).")) from error
        child = cls(supervisor, ours, limits, reader)
        file_size = max(limits.output_bytes, limits.layer_bytes, limits.tmp_bytes)
        child._ask({"argv": list(argv), "cwd": str(cwd), "env": dict(env), "limits": [
            (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, file_size), (resource.RLIMIT_NOFILE, _OPEN_FILES)]})
        return child

    def pump(self, timeout_s: float) -> None:
        """Take what it prints."""
        if timeout_s > 0 and (timeout_s := self._pace.wait(timeout_s)) < 0:
            return
        watched = [] if self._end is not None else [self._control.fileno()]
        for number in select.select([*self._sinks, *watched], [], [], timeout_s)[0]:
            if number in watched:
                self._message(0)
                continue
            data = os.read(number, _CHUNK)
            if not data:
                del self._sinks[number]
                continue
            self._sinks[number](data)
            self._pace.took(len(data))

    def take_log(self) -> None:
        """Take what it had printed before it was frozen: it lies in the pipes."""
        self.pump(0)

    def ended(self) -> bool:
        """Whether the supervisor has reported."""
        self._message(0)
        return self._end is not None

    def settle(self, watch: Watch) -> State | Verdict:  # noqa: ARG002 - the Running protocol
        """Its exit code, after its last output."""
        self._last_output()
        end = self._end or {}
        if "exit" not in end:
            return Verdict(Ending.HOST_ERROR, "The program's supervisor ended without a report.")
        return State(int(end["exit"] if end["exit"] is not None else 128 + signal.SIGKILL), wall_s=end["wall_s"])

    def kill(self) -> Verdict | None:
        """End it and all that it started."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        # Frozen processes do not die of the supervisor's signal alone on every kernel.
        self._signal(signal.SIGKILL, self._look().members)
        until = time.monotonic() + _PATIENCE_S
        while not self.ended() and time.monotonic() < until:
            self.pump(0.01)
        self._last_output()
        if self._end is None:
            return Verdict(Ending.HOST_ERROR, "The program could not be killed.")
        return None

    def judge(self, state: State) -> Verdict | None:  # noqa: ARG002 - the Running protocol
        """Nothing more is known of a process's end."""
        return None

    def send(self, data: bytes, timeout_s: float) -> bool:
        """Write to its stdin."""
        if self._supervisor.stdin is None:
            return False
        number = self._supervisor.stdin.fileno()
        os.set_blocking(number, False)
        until = time.monotonic() + timeout_s
        while data:
            if not select.select([], [number], [], max(0.0, until - time.monotonic()))[1]:
                return False
            try:
                data = data[os.write(number, data):]
            except OSError:
                return False
        return True

    def freeze(self) -> Verdict | None:
        """Stop every process of it, those too that are being born meanwhile."""
        self._signal(signal.SIGSTOP, [])
        until = time.monotonic() + _PATIENCE_S
        stood: set[int] | None = None
        while not self.ended():
            look = self._look()
            running = [pid for pid, member in look.members.items() if not member.stands]
            # Seen twice: one that was born between the look and the signal is among the second ones.
            if look.whole and not running and stood == look.members.keys():
                return None
            # What ended during the look may have left a child that the look missed: each begets the next and is gone.
            stood = set(look.members) if look.whole and not running else None
            self._signal(signal.SIGSTOP, running)
            if running:
                # They need a turn to stop.
                time.sleep(0.0002)
            if time.monotonic() > until:
                # A limit like any other: on a host that was too busy for it, the run is repeated alone.
                return Verdict(Ending.TIME_LIMIT, "It answered, and its processes could not be stopped within "
                               f"{_PATIENCE_S:g} s.")
        return None

    def thaw(self) -> Verdict | None:
        """Thaw it."""
        self._signal(signal.SIGCONT, self._look().members)
        return None

    @property
    def left(self) -> bool:
        """Whether it is known to have ended, with all that it started."""
        return self.ended()

    def held_bytes(self) -> int:
        """Resident memory of all its processes; pages that they share count for each."""
        return self._look().rss_bytes

    def use(self) -> ResourceUsage:
        """What the kernel counted for it and its children."""
        end = self._end or {}
        return ResourceUsage(end.get("cpu_s"), max(int(end.get("peak", 0)), self._peak) or None)

    def memory_verdict(self) -> Verdict | None:
        """Whether it holds more memory, or more processes, than allowed."""
        look = self._look()
        if look.rss_bytes > self._limits.memory_bytes:
            return Verdict(Ending.MEMORY_LIMIT, f"{look.rss_bytes} bytes of memory were in use; "
                           f"{self._limits.memory_bytes} are allowed.")
        if len(look.members) > self._limits.pids:
            # No outcome of its own: the container's kernel refuses the fork, and the program fails by itself.
            return Verdict(Ending.FINISHED, f"Killed: {len(look.members)} processes were running; "
                           f"{self._limits.pids} are allowed.")
        return None

    def remove(self) -> None:
        """Remove all of it."""
        if self._end is None:
            self.kill()
        self._supervisor.kill()
        self._supervisor.wait()
        # Their numbers may soon be another file's.
        self._sinks.clear()
        self._control.close()
        for pipe in (self._supervisor.stdin, self._supervisor.stdout, self._supervisor.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _ask(self, request: dict[str, object]) -> None:
        data = marshal.dumps(request)
        try:
            self._control.sendall(len(data).to_bytes(4, "big") + data)
            answer = self._message(_PATIENCE_S)
        except OSError:
            answer = None
        if answer is not None and "pid" in answer:
            self._group = int(answer["pid"])
            return
        self._end = answer or {}
        self.remove()
        if answer is None:
            raise NotStartedError(Verdict(Ending.HOST_ERROR, "The program's supervisor did not start."))
        number = int(answer["failed"])
        ending = Ending.START_FAILED if number in _REFUSALS else Ending.HOST_ERROR
        raise NotStartedError(Verdict(ending, f"{request['argv'][0]}: {_REFUSALS.get(number, os.strerror(number))}"))  # type: ignore[index]

    def _message(self, timeout_s: float) -> dict[str, Any] | None:
        """The supervisor's next message; its end counts as an empty report."""
        until = time.monotonic() + timeout_s
        while self._end is None:
            need = 4 + int.from_bytes(self._received[:4], "big")
            if len(self._received) >= max(need, 5):
                message: dict[str, Any] = marshal.loads(self._received[4:need])  # noqa: S302 - from our own supervisor
                self._received = self._received[need:]
                if "exit" in message:
                    self._end = message
                return message
            if not select.select([self._control], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            data = self._control.recv(_CHUNK)
            if not data:
                self._end = {}
            self._received += data
        return None

    def _last_output(self) -> None:
        """What is still in the pipes; all writers are dead, or are not ours to wait for."""
        until = time.monotonic() + 0.5
        while self._sinks and time.monotonic() < until:
            self.pump(0.02)

    def _look(self) -> Look:
        if self._supervisor.returncode is not None:
            # Its number may be another process's by now.
            return Look({}, whole=True)
        look = self._family.look()
        self._peak = max(self._peak, look.rss_bytes)
        return look

    def _signal(self, number: signal.Signals, processes: Iterable[int]) -> None:
        """Send to the program's group, and to these, which may have left it."""
        if self._group and self._end is None:
            with contextlib.suppress(OSError):
                os.killpg(self._group, number)
        for pid in processes:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def _number(pipe: Any) -> int:  # noqa: ANN401 - whatever Popen made
    return int(pipe.fileno())
