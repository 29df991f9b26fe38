"""Both sides of a query duel as small programs, and a table at which they play.

A batch is four images of 2x2; the first byte of a pixel array is what the honest opponent answers as its label, so a label says
which image was seen and how far it was changed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.execution.outputs import OutputReader
from harness.execution.query_broker import DuelResult, DuelSide, QueryDuel, play
from harness.sandbox.base import Limits, Program, RunReport, Sandbox, Session
from harness.tracks import Threat

LIMITS = Limits(time_limit_s=30, start_limit_s=20, memory_bytes=256 << 20, shm_bytes=64 << 20, tmp_bytes=64 << 20, pids=128,
                output_bytes=8 << 20, output_files=50, layer_bytes=64 << 20)
BUDGET, BOUND = 5, 8
#: The honest opponent's labels of the clean images.
FIRST = (10, 60, 110, 160)
CLEAN = np.full((4, 2, 2, 3), 90, np.uint8)
CLEAN[:, 0, 0, 0] = FIRST

_HEAD = """#!/usr/bin/env python3
import json, os, struct, sys, threading, time
def say(**message): os.write(1, (json.dumps(message) + '\\n').encode())
def read_npy(path):
    data = open(path, 'rb').read()
    return data[10 + struct.unpack('<H', data[8:10])[0]:]
"""
_ATTACK = _HEAD + """
SIZE = 12
def npy(name, descr, shape, data):
    header = repr({'descr': descr, 'fortran_order': False, 'shape': shape}).encode()
    header += b' ' * (-(len(header) + 11) % 64) + b'\\n'
    path = os.path.join(asked['output'], name)
    if os.path.lexists(path): os.unlink(path)
    open(path, 'wb').write(b'\\x93NUMPY\\x01\\x00' + struct.pack('<H', len(header)) + header + data)
def lay(rows, index):
    npy('queries.npy', '|u1', (len(rows), 2, 2, 3), b''.join(rows))
    npy('index.npy', '<i8', (len(index),), struct.pack('<%dq' % len(index), *index))
def hear():
    global token
    reply = json.loads(sys.stdin.readline())
    token = reply['next']
    data = read_npy(reply['answers'])
    return list(struct.unpack('<%dq' % (len(data) // 8), data))
def ask(rows, index):
    lay(rows, index)
    say(query=token)
    return hear()
def moved(row, step): return bytes([row[0] + step]) + row[1:]
def all_moved(step): return [moved(row, step) for row in images]
def end(rows):
    npy('images.npy', '|u1', (len(rows), 2, 2, 3), b''.join(rows))
    done()
def done(): say(batch=asked['batch'], done=True)
say(ready=True, arrays=True)
for line in sys.stdin:
    asked = json.loads(line)
    token = asked['query']['token']
    data = read_npy(asked['array'])
    images = [data[at:at + SIZE] for at in range(0, len(data), SIZE)]
    every = list(range(len(images)))
    {work}
"""
_OPPONENT = _HEAD + """
say(ready=True, arrays=True)
count = 0
for line in sys.stdin:
    asked = json.loads(line)
    count += 1
    data = read_npy(asked['array'])
    size = len(data) // len(asked['names'])
    labels = [data[at] for at in range(0, len(data), size)]
    {work}
"""
ANSWER = """open(asked['output'], 'w').write(''.join('%s,%d\\n' % pair for pair in zip(asked['names'], labels)))
say(batch=asked['batch'], done=True)
"""


def attacker(work: str) -> str:
    return _ATTACK.replace("{work}", work.replace("\n", "\n    "))


def opponent(work: str = ANSWER) -> str:
    return _OPPONENT.replace("{work}", work.replace("\n", "\n    "))


class Seat:
    """One side's program, open until ``close``."""

    def __init__(self, sandbox: Sandbox, root: Path, text: str, track: str, image: str | None = None, **files: str) -> None:
        digest = hashlib.sha256("".join([text, *files.values()]).encode()).hexdigest()
        self.digest = digest
        code = root / f"code-{track}"
        code.mkdir(parents=True)
        (code / "run.py").write_text(text)
        (code / "run.py").chmod(0o755)
        for name, content in files.items():
            (code / f"{name}.py").write_text(content)
        program = Program(digest, image, code, "run.py", serves=True)
        workspace = root / f"workspace-{track}"
        session = sandbox.open(program, track, workspace, LIMITS, None, {"run": "1"})
        assert not isinstance(session, RunReport), session
        self.session: Session = session
        self.side = DuelSide(program=program, track=track, session=session, workspace=workspace, limits=LIMITS)

    def limited(self, time_limit_s: float) -> DuelSide:
        return replace(self.side, limits=replace(LIMITS, time_limit_s=time_limit_s))

    def close(self) -> None:
        self.session.close()


class Watched:
    """An opponent's session that notes what it is given: the rows as they lie in its input, and all that is said with them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.rows: list[np.ndarray] = []
        self.requests: list = []
        self.files: list[list[str]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)

    def serve(self, request, cancel, oracle=None):
        assert oracle is None
        if request.array is not None:
            self.rows.append(np.load(request.array))
        self.requests.append(request)
        self.files.append(sorted(path.name for path in request.input_dir.iterdir()))
        return self._session.serve(request, cancel)


def duel(**changes: Any) -> QueryDuel:
    return replace(QueryDuel(clean=CLEAN, threat=Threat.LINF, bound=BOUND, budget=BUDGET), **changes)


Play = Callable[..., DuelResult]


def played(what: QueryDuel, attack: DuelSide, against: DuelSide, cancel: threading.Event | None = None) -> DuelResult:
    reader = OutputReader()
    try:
        return play(what, attack, against, reader, cancel or threading.Event())
    finally:
        reader.close()
