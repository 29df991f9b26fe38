"""Who belongs to a program, against what psutil says of real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from harness.sandbox.process import family
from harness.sandbox.process.family import Family

#: Begets a child and a grandchild for each line, both with brackets in their names, and lives until its stdin ends.
BEGETS = """
import os, signal, sys
for line in sys.stdin:
    told, tell = os.pipe()
    if os.fork() == 0:
        open('/proc/self/comm', 'w').write(') R 1 (')
        if os.fork() == 0: os.setsid()
        os.write(tell, b'%d\\n' % os.getpid())
        signal.pause()
    print(os.read(told, 100).decode().strip(), flush=True)
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", BEGETS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.communicate()


def beget(parent: subprocess.Popen[str]) -> None:
    parent.stdin.write("\n")
    parent.stdin.flush()
    parent.stdout.readline()


def awaited(parent: subprocess.Popen[str], count: int) -> set[int]:
    until = time.monotonic() + 20
    while len(found := {child.pid for child in psutil.Process(parent.pid).children(recursive=True)}) < count:
        assert time.monotonic() < until
    return found


@pytest.mark.parametrize("has_proc", [True, False])
def test_children_and_theirs_are_members_and_nobody_else(parent, monkeypatch, has_proc) -> None:
    if has_proc and not family._HAS_PROC:
        pytest.skip("a host without /proc")
    monkeypatch.setattr(family, "_HAS_PROC", has_proc)
    known = Family(parent.pid)
    assert known.look().members == {}
    for count in (2, 4, 6):
        beget(parent)
        there = awaited(parent, count)
        look = known.look()
        assert look.members.keys() == there
        assert look.rss_bytes > count << 18
        assert not any(member.stands for member in look.members.values())
    stopped = min(there)
    os.kill(stopped, signal.SIGSTOP)
    until = time.monotonic() + 20
    while not known.look().members[stopped].stands:
        assert time.monotonic() < until
    for pid in there:
        os.kill(pid, signal.SIGKILL)
    while any(not member.stands for member in known.look().members.values()):
        assert time.monotonic() < until


def test_a_look_during_which_a_process_ended_is_not_whole(parent, monkeypatch) -> None:
    """It may have been a member's child that left one of its own."""
    beget(parent)
    there = awaited(parent, 2)
    known, real = Family(parent.pid), psutil.pids
    monkeypatch.setattr(psutil, "pids", lambda: [*real(), 2**31 - 1] if len(calls.append(1) or calls) == 1 else real())
    calls: list[int] = []
    look = known.look()
    assert (look.members.keys(), look.whole) == (there, False)


def test_a_stranger_that_ended_after_it_was_seen_left_nothing_of_ours(parent, monkeypatch) -> None:
    beget(parent)
    there = awaited(parent, 2)
    known, real = Family(parent.pid), psutil.pids
    monkeypatch.setattr(psutil, "pids", lambda: [pid for pid in real() if pid != os.getpid() or len(calls.append(1) or calls) == 1])
    calls: list[int] = []
    look = known.look()
    assert len(calls) == 2
    assert (look.members.keys(), look.whole) == (there, True)
    # Its number may be another's at once.
    assert os.getpid() not in known._strangers


def test_strangers_are_asked_for_once_a_second(parent, monkeypatch) -> None:
    beget(parent)
    there = awaited(parent, 2)
    asked: list[int] = []
    real = family._facts
    monkeypatch.setattr(family, "_facts", lambda pids: asked.append(len(pids)) or real(pids))
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    known = Family(parent.pid)
    until = time.time() + 20
    while not known.look().whole:
        assert time.time() < until
    asked.clear()
    assert known.look().members.keys() == there
    assert asked[0] < len(psutil.pids())
    clock[0] += 2
    asked.clear()
    assert known.look().members.keys() == there
    assert asked[0] >= len(there) + 2
