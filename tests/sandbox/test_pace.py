"""What a flood may cost the harness: processor time of the one thread that reads it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

import pytest

from harness.sandbox import pace as pace_module
from harness.sandbox.docker.stream import AttachedStream
from harness.sandbox.pace import Pace
from harness.sandbox.protocol import MAX_CANDIDATE_BYTES, MAX_CANDIDATES, Answer, LineReader

MIB = 1 << 20
#: A unit that is printed again and again, and whether so much of it ends the program.
FLOODS = {
    "opening braces": (b"{\n", False),
    "line ends": (b"\n", False),
    "quotation marks": (b'"', False),
    "almost a key": (b'"batc"batc"read', False),
    "a key alone": (b'"batch"\n', True),
    "broken answers": (b'{"batch"\n', True),
    "long broken answers": (b'{"batch": [' + b"1," * 30_000 + b"}\n", True),
    "nested": (b'{"batch":' * 7000 + b"\n", True),
    "a key again and again": (b"{" + b'"batch":1,' * 6000 + b'"a":1}\n', True),
    "answers": (b'{"batch": "1", "done": true}\n', False),
    "log lines in JSON": (b'{"loss": 0.1, "step": 3}\n', False),
    "a line without end": (b"{", False),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_sixteen_mebibytes_of_lines_cost_little(flood) -> None:
    unit, ends = FLOODS[flood]
    piece = (unit * (65536 // len(unit) + 1))[:65536]
    reader = LineReader()
    began = time.thread_time()
    for _ in range(256):
        reader.feed(piece)
    assert time.thread_time() - began < 0.5, "0.07 s at worst, measured"
    assert reader.flooded is ends
    assert len(reader.answers) <= 16
    assert reader.log.seen_bytes >= 15 * MIB


def test_the_ration_is_of_one_batch() -> None:
    reader = LineReader()
    for _ in range(3):
        reader.new_batch()
        reader.feed(b'{"batch": 1}\n' * (MAX_CANDIDATES - 1) + b'{"batch": "a", "done": true}\n')
        assert not reader.flooded
        assert reader.answers.popleft() == Answer("a")
    reader.feed(b'{"batch": 1}\n')
    assert reader.flooded
    reader.new_batch()
    reader.feed(b'{"batch": "' + b"x" * 60_000 + b'"}\n')
    assert not reader.flooded
    reader.feed((b'{"batch": "' + b"x" * 60_000 + b'"}\n') * (MAX_CANDIDATE_BYTES // 60_000))
    assert reader.flooded


class Clock:
    """Goes on while somebody sleeps, and not otherwise."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_pace_lets_a_burst_through_and_holds_a_flood_back(monkeypatch) -> None:
    clock = Clock()
    monkeypatch.setattr(pace_module, "time", clock)
    pace = Pace()
    pace.took(100, 3)
    assert pace.wait(1.0) == 1.0
    assert clock.now == 100
    pace.took(8 * MIB)
    assert pace.wait(0.05) < 0, "half a second is due"
    assert clock.now == 100.05
    assert 0 < pace.wait(1.0) < 1
    assert 100.3 < clock.now < 100.6


class Engine:
    """An engine that hands over one side of a socket."""

    def __init__(self, ours: socket.socket) -> None:
        self._ours = ours

    def attach_socket(self, _ident: str, params: dict[str, int]) -> socket.socket:
        assert params["stream"] == 1
        return self._ours


@pytest.mark.parametrize("size", [1, 100, 60_000], ids=["bytes", "lines", "large pieces"])
def test_frames_are_rationed_by_count(size) -> None:
    ours, theirs = socket.socketpair()
    frames = (struct.pack(">BxxxL", 1, size) + b"{" * size) * (65536 // (size + 8) + 1)

    def flood() -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(frames)

    reader, taken = LineReader(), []

    def feed(data: bytes) -> None:
        taken.append(len(data))
        reader.feed(data)

    stream = AttachedStream(Engine(ours), "x", feed, reader.log.feed, stdin=False)  # type: ignore[arg-type]
    threading.Thread(target=flood, daemon=True).start()
    until, began = time.monotonic() + 1.0, time.thread_time()
    while time.monotonic() < until:
        stream.pump(0.05)
    used = time.thread_time() - began
    ours.shutdown(socket.SHUT_RDWR)
    stream.close()
    theirs.close()
    assert sum(taken) > 10_000
    assert used < 0.4, "0.1 s, measured: without a ration it is the whole second"
