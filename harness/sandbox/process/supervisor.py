"""The parent of one program, as a process of its own: it starts it, outlives it, and leaves no process of it behind.

Run as a script with the number of a control socket; imports nothing but the standard library's quickest modules, because its
start is part of every run. It is a "child subreaper": what the program daemonises becomes its child, not init's, so that all of
it can be found and killed. When the control socket closes, because the harness was killed, it kills all and ends.

Setting limits between fork and exec inside the harness itself (``preexec_fn``) was rejected: in a program with threads it can
deadlock.
"""

from __future__ import annotations

import contextlib
import ctypes
import marshal
import os
import resource
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: How long to keep killing: processes that fork as fast as they are killed lose in the end.
_KILL_S = 5.0


def main() -> None:
    """Start the program that the first message describes, and stay until no process of it is left."""
    control = int(sys.argv[1])
    request = marshal.loads(_receive(control))  # noqa: S302 - from our own parent
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid, failed = _start(request, control)
    if failed is not None:
        _send(control, {"failed": failed})
        return
    began = time.monotonic()
    # A harness that was killed meanwhile is noticed by the wait below, which then ends the program.
    with contextlib.suppress(OSError):
        _send(control, {"pid": pid})
    _release_streams()
    status = _wait(pid, control)
    wall_s = time.monotonic() - began
    _kill_all(pid)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with contextlib.suppress(OSError):
        _send(control, {"exit": status, "wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime,
                        "peak": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)})


def _prctl(option: int, value: int) -> None:
    # Linux only; elsewhere there is nothing like it.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _send(control: int, message: dict[str, object]) -> None:
    data = marshal.dumps(message)
    os.write(control, len(data).to_bytes(4, "big") + data)


def _receive(control: int) -> bytes:
    data, need = b"", 4
    while len(data) < need:
        piece = os.read(control, 1 << 16)
        if not piece:
            sys.exit(0)
        data += piece
        if len(data) >= 4:  # noqa: PLR2004 - the length itself
            need = 4 + int.from_bytes(data[:4], "big")
    return data[4:]


def _start(request: dict[str, object], control: int) -> tuple[int, int | None]:
    """Fork and execute; the error number where the kernel refused the program."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(control)
            os.setsid()
            # If this supervisor itself is killed, the program dies with it.
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for name, value in request["limits"]:  # type: ignore[attr-defined]
                hard = resource.getrlimit(name)[1]
                most = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(name, (most, most))
            for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(request["cwd"])  # type: ignore[arg-type]
            os.execve(request["argv"][0], request["argv"], request["env"])  # type: ignore[index,arg-type]  # noqa: S606
        except OSError as error:
            os.write(tell, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(tell)
    answer = os.read(told, 64)
    os.close(told)
    if answer:
        os.waitpid(pid, 0)
        return pid, int(answer)
    return pid, None


def _release_streams() -> None:
    """Close our ends of the program's pipes: the harness must see EOF when the program's own ends close."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _wait(pid: int, control: int) -> int | None:
    """The exit code of the program, or None where the harness wants it dead or is gone."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        # All that ended is reaped, so that a program's own children do not stay as zombies.
        with contextlib.suppress(ChildProcessError):
            while True:
                found, status = os.waitpid(-1, os.WNOHANG)
                if found == 0:
                    break
                if found == pid:
                    code = os.waitstatus_to_exitcode(status)
                    return code if code >= 0 else 128 - code
        ready = select.select([control, wake_read], [], [], 1.0)[0]
        if control in ready:
            # Any message, or EOF, means kill.
            return None
        if wake_read in ready:
            os.read(wake_read, 4096)


def _kill_all(pid: int) -> None:
    """Kill the program's group and every descendant, and reap until none is left."""
    until = time.monotonic() + _KILL_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        for child in _descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _descendants(root: int) -> list[int]:
    """Every process below ``root``, from the process table; empty where there is no ``/proc``."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs its import
            if name.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat", "rb") as facts:  # noqa: PTH123
                    parent = int(facts.read().rpartition(b")")[2].split()[1])
                    children.setdefault(parent, []).append(int(name))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


if __name__ == "__main__":
    main()
