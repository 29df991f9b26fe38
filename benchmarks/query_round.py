"""What one call of a query attack's oracle costs besides the defense's own computing: 100 images of 32x32, answered with labels.

Attack and defense are SDK entries whose functions do nothing, so all that a call of the oracle takes is the way: freeze, read, lay
out, serve, read back, answer, thaw. The floor of the same run is one pipe between two processes: the array there, labels back.
`--profile` lists where the harness's own part goes.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import os
import pstats
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import REPOSITORY, load, machine, table, verdict
from harness.execution.outputs import OutputReader
from harness.execution.query_broker import DuelSide, QueryDuel, play
from harness.sandbox.base import CodeImages, Limits, Program, RunReport, Sandbox
from harness.sandbox.process import ProcessSandbox
from harness.tracks import Threat

TARGET_MS = 10.0
IMAGE = "localhost/harness-light:1"
LIMITS = Limits(time_limit_s=500, start_limit_s=60, memory_bytes=1 << 30)
ATTACK = """#!/usr/bin/env python3
import json, time
import numpy as np
from query_sdk import run_query_attack
def attack(images, bound, oracle):
    every, took = np.arange(len(images)), []
    for _ in range(oracle.budget):
        began = time.perf_counter()
        oracle(images, every)
        took.append(time.perf_counter() - began)
    print(json.dumps(took), flush=True)
    return images
run_query_attack(attack)
"""
DEFENSE = """#!/usr/bin/env python3
import numpy as np
from query_sdk import run_defense
run_defense(lambda images: np.zeros(len(images), int))
"""
PROGRAMS = {"attack": ATTACK, "defense": DEFENSE}
PIPE = """
import os, sys
import numpy as np
size = int(sys.argv[1])
while data := sys.stdin.buffer.read(size):
    rows = np.frombuffer(data, np.uint8).copy()
    os.write(1, np.zeros(100, np.int64).tobytes())
"""


def floor_ms(clean: np.ndarray, rounds: int) -> list[float]:
    """One pipe, one copy."""
    data, took = clean.tobytes(), []
    with subprocess.Popen([sys.executable, "-c", PIPE, str(len(data))], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        for _ in range(rounds):
            began = time.perf_counter()
            peer.stdin.write(data)
            peer.stdin.flush()
            peer.stdout.read(800)
            took.append(1000 * (time.perf_counter() - began))
        peer.stdin.close()
    return took


def digest(track: str) -> str:
    """Of a program of this call of the benchmark."""
    return hashlib.sha256(f"{os.getpid()} {track}".encode()).hexdigest()


def opened(sandbox: Sandbox, root: Path, track: str) -> DuelSide:
    """An SDK entry, open."""
    code = root / f"code-{track}"
    code.mkdir(parents=True)
    (code / "run.py").write_text(PROGRAMS[track])
    (code / "run.py").chmod(0o755)
    shutil.copy(REPOSITORY / "harness" / "sdk.py", code / "query_sdk.py")
    program = Program(digest(track), IMAGE, code, "run.py", serves=True)
    session = sandbox.open(program, track, root / f"workspace-{track}", LIMITS, None, {})
    if isinstance(session, RunReport):
        raise SystemExit(f"{track}: {session.detail} {session.stderr}")
    return DuelSide(program=program, track=track, session=session, workspace=root / f"workspace-{track}", limits=LIMITS)


def round_ms(sandbox: Sandbox, root: Path, duel: QueryDuel, profile: cProfile.Profile | None) -> tuple[list[float], float]:
    """What each call of the oracle took in the attack's process, and the harness's CPU time for one."""
    sides = opened(sandbox, root, "attack"), opened(sandbox, root, "defense")
    reader = OutputReader()
    try:
        play(replace(duel, budget=3), *sides, reader, threading.Event())
        if profile is not None:
            profile.enable()
        before = time.process_time()
        result = play(duel, *sides, reader, threading.Event())
        processor_ms = 1000 * (time.process_time() - before) / duel.budget
        if profile is not None:
            profile.disable()
    finally:
        for side in sides:
            side.session.close()
        reader.close()
    if not result.final or int(result.counts.sum()) != duel.budget * len(duel.clean):
        raise SystemExit(f"The duel failed: {result}")
    return [1000 * seconds for seconds in json.loads(result.attack.report.stderr.splitlines()[-1])], processor_ms


def sandboxes(names: str, root: Path) -> dict[str, Sandbox]:
    """Those that were asked for and are here."""
    found: dict[str, Sandbox] = {"process": ProcessSandbox(root / "scratch")}
    if "docker" in names:
        from harness.sandbox.docker import DockerSandbox, engine_answers

        if engine_answers():
            found["docker"] = DockerSandbox()
    return {name: sandbox for name, sandbox in found.items() if name in names}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--sandboxes", default="process,docker")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print(f"A call of {options.images} rows of {options.size}x{options.size}, ms of {options.rounds} calls. {machine()}.\n")
    clean = np.random.default_rng(1).integers(0, 256, (options.images, options.size, options.size, 3), np.uint8)
    duel = QueryDuel(clean=clean, threat=Threat.LINF, bound=8, budget=options.rounds)
    floor = floor_ms(clean, options.rounds)
    rows: list[list[object]] = [["one pipe, one copy", statistics.median(floor), min(floor), "", 1.0, "floor", ""]]
    profile = cProfile.Profile() if options.profile else None
    with tempfile.TemporaryDirectory(prefix="query-round-") as directory:
        for name, sandbox in sandboxes(options.sandboxes, Path(directory)).items():
            took, processor_ms = round_ms(sandbox, Path(directory) / name, duel, profile)
            median = statistics.median(took)
            rows.append([f"a call, {name} sandbox", median, min(took), processor_ms, median / statistics.median(floor),
                         f"<= {TARGET_MS:g}", verdict(median, TARGET_MS)])
            if isinstance(sandbox, CodeImages):
                sandbox.remove_code_images([digest(track) for track in PROGRAMS])
    print(table(["way", "median", "best", "harness's processor", "of the floor", "target", ""], rows))
    print(f"\nAt the end: {load()}.")
    if profile is not None:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
