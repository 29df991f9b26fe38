"""What code inside the decoding process can still do: nothing but decode."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from harness.execution.outputs import OutputReader
from harness.execution.outputs import decoder_process as process_module
from harness.execution.outputs.confine import MEASURES
from harness.formats.images import encode_png

#: What a decoder that an image has taken over would try; each must fail. ``mine`` is a descriptor that it was given.
TRIES = {
    "read a file": "open('/etc/passwd').read()",
    "list the root": "os.listdir('/')",
    "read another process": "open('/proc/1/environ').read()",
    "write a file": "open('/tmp/harness-was-here', 'w')",
    "climb out": "os.open('../../../../etc/passwd', os.O_RDONLY)",
    "make a socket": "socket.socket(socket.AF_INET)",
    "make a local socket": "socket.socket(socket.AF_UNIX)",
    "fork": "os.fork() or os._exit(0)",
    "execute": "os.execv('/bin/true', ['true'])",
    "start a thread": "_thread.start_new_thread(print, ())",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "become root": "os.setuid(0)",
    "change a file that it was given": "os.fchmod(mine, 0o777)",
    "write to a file that it was given": "os.write(mine, b'x')",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_CORE, (1, 1))",
    "trace": "[][ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)]",
    "another name space": "[][ctypes.CDLL(None).unshare(0x10000000) + 1]",
}
INSIDE = """
import _thread, ctypes, os, resource, socket, sys
from harness.formats import images
from harness.execution.outputs import safe_open as walk; from harness.execution.outputs import decoder_main as worker
from harness.execution.outputs import confine
TRIES = %r
real = walk.read_descriptor
def read(mine, limit):
    done = []
    for name, text in TRIES.items():
        try:
            eval(text)
        except BaseException:
            continue
        done.append(name)
    raise walk.RefusedFileError("done: " + ", ".join(done) + "; uid %%d" %% os.getuid())
walk.read_descriptor = read
%s
worker.main()
"""


def reason(tmp_path, monkeypatch, more: str = "") -> str:
    real = subprocess.Popen

    def start(arguments, **options):
        return real([sys.executable, "-c", INSIDE % (TRIES, more), *arguments[3:]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    pixels = np.zeros((1, 2, 2, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(encode_png(pixels[0]))
    reader = OutputReader(workers=1)
    try:
        return reader.read_attack(tmp_path, ["a.png"], pixels, 8).refused[0]
    finally:
        reader.close()


def test_nothing_can_be_reached(tmp_path, monkeypatch) -> None:
    said = reason(tmp_path, monkeypatch)
    assert said.startswith("done: ;"), said


@pytest.mark.parametrize("without", ["_leave_files", "_leave_user", "_leave_network", "all of them"])
def test_the_filter_of_calls_holds_alone(tmp_path, monkeypatch, without) -> None:
    """As on a host where nothing else is allowed."""
    names = ["_leave_files", "_leave_user", "_leave_network"] if without == "all of them" else [without]
    said = reason(tmp_path, monkeypatch, "".join(f"confine.{name} = lambda: os.kill(-(1 << 22) - 7, 0)\n" for name in names))
    assert said.startswith("done: ;"), said


def test_a_hole_is_noticed(tmp_path, monkeypatch) -> None:
    said = reason(tmp_path, monkeypatch, "confine.confine = lambda _: []\n"
                  "TRIES = {name: TRIES[name] for name in ('read a file', 'make a socket')}\n")
    assert "read a file" in said
    assert "make a socket" in said


def test_which_measures_hold() -> None:
    assert process_module.measures() <= set(MEASURES)
    assert "calls" in process_module.measures()
