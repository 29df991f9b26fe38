"""What only the process sandbox does: it copies, it scrubs, and it leaves nothing behind even when it is killed itself."""

from __future__ import annotations

import contextlib
import dataclasses
import marshal
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness.sandbox.base import Program, RunRequest
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea
from harness.sandbox.process import ProcessSandbox
from harness.sandbox.process import supervisor as supervisor_module
from harness.sandbox.running import OVERSLEPT_S

from .conftest import LIMITS, Bench

pytestmark = pytest.mark.alone  # its limits are those of a host at rest

BASH = "#!/bin/bash\n"


@pytest.fixture
def scratch(tmp_path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def sandbox(scratch) -> ProcessSandbox:
    return ProcessSandbox(scratch)


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path, None)


def test_says_that_it_does_not_isolate(sandbox) -> None:
    assert sandbox.isolates is False


def test_the_submission_itself_stays_as_it_is(sandbox, bench) -> None:
    program = bench.program(BASH + "echo more >> run.sh; touch new")
    bench.run(sandbox, program)
    assert [path.name for path in program.code_dir.iterdir()] == ["run.sh"]
    assert (program.code_dir / "run.sh").read_text() == BASH + "echo more >> run.sh; touch new"


def test_nothing_is_left(sandbox, bench, scratch) -> None:
    bench.run(sandbox, bench.program(BASH + "mkdir -p $HOME/a $TMPDIR/b; chmod 0 $HOME"))
    bench.run(sandbox, bench.program(BASH + "sleep 9"), dataclasses.replace(LIMITS, time_limit_s=0.5))
    bench.run(sandbox, bench.program("no program"))
    assert list(scratch.iterdir()) == []


def test_environment(sandbox, bench) -> None:
    report = bench.run(sandbox, bench.program(BASH + "env | grep -vE '^(PWD|SHLVL|_)=' | sed 's/=.*//' | sort | tr '\\n' ' '"))
    assert report.stdout.split() == ["CUDA_VISIBLE_DEVICES", "HOME", "LANG", "OMP_NUM_THREADS", "PATH", "TMPDIR"]


@pytest.mark.parametrize(("gpu", "seen"), [("GPU-abc", "GPU-abc"), ("2", "2"), (None, "")])
@pytest.mark.parametrize("served", [False, True])
def test_a_program_sees_the_gpu_that_it_was_given_and_without_one_none(sandbox, bench, gpu, seen, served) -> None:
    # Empty hides all of them; unset would show them all.
    program = bench.program(BASH + 'echo "sees: <${CUDA_VISIBLE_DEVICES-all}>" >&2; exit 3')
    if served:
        report = sandbox.open(program, "attack", bench.root / "work", LIMITS, gpu, {})
    else:
        with OutputArea(bench.root / "out", LIMITS.output_bytes, LIMITS.output_files) as area:
            report = sandbox.run(RunRequest(program, "attack", bench.input, area, 16, LIMITS, gpu=gpu), threading.Event())
    assert f"sees: <{seen}>" in report.stderr


def test_python_is_the_harness_own(sandbox, bench) -> None:
    text = "#!/usr/bin/env python3\nimport sys, numpy\nprint(sys.prefix)"
    assert bench.run(sandbox, bench.program(text)).stdout.strip() == sys.prefix


def test_too_many_processes(sandbox, bench) -> None:
    text = BASH + "for i in $(seq 60); do sleep 30 & done; wait"
    report = bench.run(sandbox, bench.program(text), dataclasses.replace(LIMITS, pids=20))
    assert (report.ending, report.exit_code) == (Ending.FINISHED, None)
    assert "processes" in report.detail


def test_a_plain_image_needs_docker(sandbox, bench) -> None:
    report = bench.run(sandbox, Program("x", "localhost/some:1", None, None))
    assert report.ending is Ending.IMAGE_MISSING


def test_code_that_is_gone_is_the_hosts_fault(sandbox, bench) -> None:
    report = bench.run(sandbox, Program("x", None, bench.root / "nowhere", "run.sh"))
    assert report.ending is Ending.HOST_ERROR


def test_memory_of_all_its_processes_counts(sandbox, bench) -> None:
    text = ("#!/usr/bin/env python3\nimport os, time\nfor _ in range(3):\n if os.fork() == 0: break\n"
            "x = bytearray(60 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\ntime.sleep(30)\n")
    report = bench.run(sandbox, bench.program(text), dataclasses.replace(LIMITS, memory_bytes=150 << 20))
    assert report.ending is Ending.MEMORY_LIMIT


HARNESS = """
import sys, threading
from pathlib import Path
from harness.sandbox.base import Limits, Program, RunRequest
from harness.sandbox.output_area import OutputArea
from harness.sandbox.process import ProcessSandbox
root = Path(sys.argv[1])
program = Program("x", None, root / "code", "run.sh")
with OutputArea(root / "out", 1 << 20, 10) as area:
    report = ProcessSandbox(root / "scratch").run(
        RunRequest(program, "attack", root, area, 1, Limits(time_limit_s=float(sys.argv[2]))), threading.Event())
    print(report.ending.value, report.exit_code)
"""


def start_harness(root: Path, text: str, limit_s: float) -> tuple[subprocess.Popen[str], psutil.Process]:
    (root / "code").mkdir()
    (root / "code" / "run.sh").write_text(text)
    (root / "code" / "run.sh").chmod(0o755)
    harness = subprocess.Popen([sys.executable, "-c", HARNESS, str(root), str(limit_s)], stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (root / "pid").exists() and (root / "pid").read_text().endswith("\n"):
            return harness, psutil.Process(int((root / "pid").read_text()))
        time.sleep(0.02)
    harness.kill()
    raise TimeoutError


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_killed_harness_takes_its_programs_along(tmp_path) -> None:
    harness, program = start_harness(tmp_path, BASH + "setsid sleep 60 & echo $! > $1/pid; sleep 60", 60)
    harness.kill()
    harness.communicate()
    until = time.monotonic() + 60
    while not gone(program) and time.monotonic() < until:
        time.sleep(0.02)
    assert gone(program)
    from harness.sandbox.output_area import unmount_leftovers

    unmount_leftovers(tmp_path)
    assert len(ProcessSandbox(tmp_path / "scratch").cleanup()) == 1
    assert list((tmp_path / "scratch").iterdir()) == []


def supervised(cwd: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A supervisor that was told to start `sleep 60` in ``cwd``, and its control socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        supervisor = subprocess.Popen([sys.executable, "-I", "-S", supervisor_module.__file__, str(theirs.fileno())],
                                      pass_fds=[theirs.fileno()], start_new_session=True)
    request = marshal.dumps({"argv": ["/bin/sleep", "60"], "cwd": str(cwd), "env": {}, "limits": []})
    ours.sendall(len(request).to_bytes(4, "big") + request)
    return supervisor, ours


def programs_in(cwd: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == str(cwd) and not gone(process):
                found.append(process)
    return found


def test_a_harness_killed_before_it_hears_that_the_program_runs_takes_it_along(tmp_path) -> None:
    supervisor, control = supervised(tmp_path)
    control.close()
    assert supervisor.wait(20) == 0
    assert programs_in(tmp_path) == []


def test_a_killed_supervisor_takes_the_program_along(tmp_path) -> None:
    supervisor, control = supervised(tmp_path)
    with control:
        assert control.recv(100)
        (program,) = programs_in(tmp_path)
        supervisor.kill()
        supervisor.wait()
        psutil.wait_procs([program], timeout=20)
        assert gone(program)


@pytest.mark.parametrize(("sleeps", "expected"), [("0.2", "finished 7"), ("5", "time_limit None")])
def test_a_stopped_harness_judges_by_the_programs_own_time(tmp_path, sleeps, expected) -> None:
    limit_s = 3
    harness, program = start_harness(tmp_path, BASH + f"echo $$ > $1/pid; sleep {sleeps}; exit 7", limit_s)
    harness.send_signal(signal.SIGSTOP)
    stopped, until = time.monotonic(), time.monotonic() + 60
    # Until the program has ended, and the harness's own clock says that it is far past its limit.
    while not (gone(program) and time.monotonic() > stopped + limit_s + OVERSLEPT_S):
        assert time.monotonic() < until
        time.sleep(0.02)
    harness.send_signal(signal.SIGCONT)
    assert harness.communicate()[0].strip() == expected
