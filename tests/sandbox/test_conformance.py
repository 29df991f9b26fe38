"""What every sandbox promises, as one table of small programs; both sandboxes pass every row."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from harness.sandbox import watch
from harness.sandbox.base import LOG_TAIL_BYTES, Limits, RunReport
from harness.sandbox.outcomes import Ending

from .conftest import LIMITS, Bench

pytestmark = pytest.mark.alone  # its limits are those of a host at rest

PYTHON = "#!/usr/bin/env python3\nimport os, sys, signal, time\n"
BASH = "#!/bin/bash\n"

Check = Callable[[RunReport, dict[str, bytes]], bool]


@dataclass(frozen=True)
class Row:
    """A program, and how its run has to end.

    Attributes:
        past: A file of its output; as soon as it is there the clock is past every limit. No limit is shorter than a slow start.
    """

    name: str
    program: str | bytes
    ending: Ending = Ending.FINISHED
    exit_code: Any = 0  # ... for whatever it is
    holds: Check = lambda report, outputs: True
    changed: dict[str, Any] = dataclasses.field(default_factory=dict)
    mode: int = 0o755
    profile: str = "legacy"
    entry_point: str = "run.sh"
    track: str = "attack"
    past: str = ""

    @property
    def limits(self) -> Limits:
        return dataclasses.replace(LIMITS, **self.changed)


ROWS = [
    Row("attack arguments", BASH + 'cp "$1"/* "$2" && echo "$#:$3"',
        holds=lambda r, o: o == {"a.png": b"one picture"} and r.stdout == "3:16\n"),
    Row("defense arguments", BASH + 'ls "$1" > "$2"; echo "$#"', track="defense",
        holds=lambda r, o: o == {"result.csv": b"a.png\n"} and r.stdout == "2\n"),
    Row("works where its code is, and may write there", BASH + "test -x run.sh && echo x > new && cat new",
        holds=lambda r, o: r.stdout == "x\n"),
    Row("finds nothing of the run before", BASH + "test ! -e new && test ! -e /tmp/note && touch new $TMPDIR/note"),
    Row("exit code 0 with nothing done", BASH + "exit 0", holds=lambda r, o: o == {}),
    Row("exit code 3", BASH + "echo partial > $2/x; echo why >&2; exit 3", exit_code=3,
        holds=lambda r, o: o == {"x": b"partial\n"} and r.stderr == "why\n"),
    Row("exit code 137 by itself", BASH + "exit 137", exit_code=137),
    Row("killed by its own signal", PYTHON + "import ctypes; ctypes.string_at(0)", exit_code=139),
    Row("no output streams", BASH + "exec >&- 2>&-; sleep 0.5; echo x > $2/late",
        holds=lambda r, o: o == {"late": b"x\n"} and r.wall_s > 0.4),
    Row("busy past its limit", BASH + "echo x > $2/early; while :; do :; done", Ending.TIME_LIMIT, None,
        lambda r, o: o == {"early": b"x\n"}, past="early"),
    Row("sleeps ignoring SIGTERM", BASH + "trap '' TERM INT HUP; echo > $2/early; while :; do sleep 9; done", Ending.TIME_LIMIT,
        None, past="early"),
    Row("stops itself", PYTHON + "open(sys.argv[2] + '/early', 'w')\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(60)",
        Ending.TIME_LIMIT, None, past="early"),
    Row("daemonises a child that writes on",
        PYTHON + "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  while True:\n"
                 "   open(sys.argv[2] + '/n', 'a').write('x'); time.sleep(0.01)\n os._exit(0)\ntime.sleep(0.3)"),
    # A sample is taken at least once in the second that it takes from 48 MiB to its limit.
    Row("memory bomb", PYTHON + "x = []\nwhile True: x.append(bytearray(1 << 23)); time.sleep(0.1)", Ending.MEMORY_LIMIT, ...,
        lambda r, o: (r.peak_memory_bytes or 0) > 48 << 20, {"memory_bytes": 128 << 20}),
    Row("output too large", BASH + "echo x > $2/first; head -c 9000000 /dev/zero > $2/big; sleep 30", Ending.OUTPUT_LIMIT,
        None, lambda r, o: "first" in o),
    Row("output too large, and it ends at once", BASH + "head -c 9000000 /dev/zero > $2/big; exit 0", Ending.OUTPUT_LIMIT, ...),
    Row("too many files", PYTHON + "for i in range(9999):\n open(f'{sys.argv[2]}/{i}', 'w').close()", Ending.OUTPUT_LIMIT, ...),
    Row("as large as allowed", PYTHON + "open(sys.argv[2] + '/x', 'wb').write(bytes(4 << 20))",
        holds=lambda r, o: list(o) == ["x"]),
    Row("sparse terabyte", PYTHON + "try:\n open(sys.argv[2] + '/x', 'wb').truncate(1 << 40)\nexcept OSError: sys.exit(7)\n",
        exit_code=7),
    Row("writes too much beside its output", BASH + "head -c 64000000 /dev/zero > big; sleep 30; exit 1", Ending.OUTPUT_LIMIT,
        None, changed={"layer_bytes": 32 << 20, "tmp_bytes": 1 << 20, "output_bytes": 250 << 20}),
    Row("floods stdout", BASH + "head -c 1000000 <(yes); echo > $2/early; exec yes", Ending.TIME_LIMIT, None,
        lambda r, o: 0 < len(r.stdout) <= LOG_TAIL_BYTES and set(r.stdout) == {"y", "\n"}, past="early"),
    Row("floods stdout and ends", BASH + "head -c 8000000 /dev/zero | tr '\\0' z; echo; echo end",
        holds=lambda r, o: r.stdout.endswith("zz\nend\n") and len(r.stdout) == LOG_TAIL_BYTES),
    Row("escape codes on stderr", BASH + r"printf 'a\033[31mb\033]0;title\007c\000\r\nd\n' >&2",
        holds=lambda r, o: r.stderr == "abc\nd\n"),
    Row("entry point missing", BASH, Ending.START_FAILED, None, entry_point="nowhere.sh"),
    Row("entry point is a directory", BASH, Ending.START_FAILED, None, entry_point="."),
    Row("no exec bit", BASH + "test -x run.sh", mode=0o644),
    Row("no exec bit, strict", BASH, Ending.START_FAILED, None, mode=0o644, profile="strict"),
    Row("CR LF in its first line", "#!/bin/bash\r\ntrue\r\n", Ending.START_FAILED, ..., lambda r, o: "CR LF" in r.detail),
    Row("no such interpreter", "#!/no/such\n", Ending.START_FAILED, ...),
    Row("no #! line", "true\n", Ending.START_FAILED, ...),
    Row("another architecture", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf3\x00" + bytes(44), Ending.START_FAILED, ...,
        lambda r, o: "format" in r.detail),
    Row("fakes the runtime's sentence", BASH + "echo hi; echo 'exec ./run.sh: exec format error' >&2; exit 1", exit_code=1),
    Row("environment of the contract only", BASH + "env | sed 's/=.*//' | sort | tr '\\n' ' '",
        holds=lambda r, o: "HOME" in r.stdout and not {"SSH", "TOKEN", "SECRET_OF_THE_HOST"} & set(r.stdout.split())),
    Row("threads as processors", BASH + "echo $OMP_NUM_THREADS", holds=lambda r, o: r.stdout == "1\n"),
    Row("writes no core file", PYTHON + "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))",
        holds=lambda r, o: r.stdout == "(0, 0)\n"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, sandbox, bench: Bench, monkeypatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    if row.past:
        reached = bench.root / "out" / row.past
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 1000 * reached.exists())
        monkeypatch.setattr(watch, "time", clock)
    program = bench.program(row.program, mode=row.mode, entry_point=row.entry_point, profile=row.profile)
    for _ in range(2 if row.name.startswith("finds nothing") else 1):
        report = bench.run(sandbox, program, row.limits, track=row.track)
        assert report.ending is row.ending, report
        assert row.exit_code is ... or report.exit_code == row.exit_code, report
        assert row.holds(report, bench.outputs), (report, bench.outputs)
        assert report.detail or report.ending is Ending.FINISHED


def test_killed_within_a_second_of_its_limit(sandbox, bench) -> None:
    """By its own account: what an engine takes until it says that a program is gone is not the program's time."""
    text = BASH + "trap '' TERM; while :; do read now _ < /proc/uptime; echo $now >> $2/beats; sleep 0.05; done"
    beats = []
    report = bench.run(sandbox, bench.program(text), dataclasses.replace(LIMITS, time_limit_s=3.0),
                       seen=lambda area: beats.extend((area.path / "beats").read_text().splitlines()))
    assert report.ending is Ending.TIME_LIMIT
    assert report.wall_s >= 3.0
    assert float(beats[-1]) - float(beats[0]) < 4.0


def test_nothing_writes_after_the_return(sandbox, bench) -> None:
    text = PYTHON + ("if os.fork() == 0:\n os.setsid()\n while True:\n"
                     "  open(sys.argv[2] + '/n', 'a').write('x'); time.sleep(0.005)\n"
                     "while not os.path.exists(sys.argv[2] + '/n'): time.sleep(0.005)")

    def looks_again(area) -> None:
        before = (area.path / "n").stat().st_size
        time.sleep(0.2)
        assert (area.path / "n").stat().st_size == before

    assert bench.run(sandbox, bench.program(text), seen=looks_again).ending is Ending.FINISHED


def test_cancelled(sandbox, bench) -> None:
    cancel = threading.Event()
    timer = threading.Timer(0.7, cancel.set)
    timer.start()
    report = bench.run(sandbox, bench.program(BASH + "sleep 60"), cancel=cancel)
    assert report.ending is Ending.CANCELLED
    assert report.wall_s < 5


def test_cancelled_before_it_began(sandbox, bench) -> None:
    cancel = threading.Event()
    cancel.set()
    assert bench.run(sandbox, bench.program(BASH + "sleep 60"), cancel=cancel).ending is Ending.CANCELLED


def test_several_at_once(sandbox, tmp_path, request) -> None:
    image = request.getfixturevalue("base_image") if sandbox.isolates else None
    reports: list[RunReport] = []

    def one(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = Bench(folder, image)
        report = bench.run(sandbox, bench.program(BASH + f"sleep 0.2; echo {number} > $2/x"))
        assert bench.outputs == {"x": f"{number}\n".encode()}
        reports.append(report)

    threads = [threading.Thread(target=one, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.ending for report in reports] == [Ending.FINISHED] * 4


def test_measures_what_was_used(sandbox, bench) -> None:
    text = PYTHON + "x = bytearray(64 << 20)\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
    report = bench.run(sandbox, bench.program(text))
    assert report.ending is Ending.FINISHED
    assert report.cpu_s is not None
    assert 0.3 < report.cpu_s < 2
    assert report.peak_memory_bytes is not None
    assert report.peak_memory_bytes > 60 << 20
