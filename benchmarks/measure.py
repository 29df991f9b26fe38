"""What every benchmark shares: the machine, a program's peak memory, floors, and a table that lines up."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent


def machine() -> str:
    """Cores, memory and load: a figure without them means little."""
    memory = psutil.virtual_memory().total / (1 << 30)
    return f"{os.cpu_count()} cores, {memory:.0f} GiB memory, {load()}"


def load() -> str:
    """Runnable threads of the last minute, our own included."""
    return f"load {os.getloadavg()[0]:.1f}"


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far.

    VmHWM starts again with a program; ``ru_maxrss`` would carry the parent's over.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def stage(script: str, name: str, **options: object) -> dict[str, Any]:
    """Run one stage of a benchmark as a program of its own, so that its memory and caches are its own."""
    arguments = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    ended = subprocess.run([sys.executable, "-m", f"benchmarks.{script}", f"--stage={name}", *arguments], check=True,
                           cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def timed(function: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of a call, the best of several: other load on the machine only ever adds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def command_seconds(arguments: Sequence[str], cwd: Path, repeats: int = 5) -> tuple[float, float, float]:
    """Seconds of a program, start to end: the median and the best, and the least CPU time; its output is discarded.

    On a busy machine the CPU time is nearer to what the program itself costs.
    """
    walls, used = [], []
    for turn in range(repeats + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(arguments, check=True, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if turn:  # the first start reads files from the disk
            walls.append(wall)
            used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), min(walls), min(used)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table whose columns line up: words to the left, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    right = [all(isinstance(row[column], int | float) for row in rows) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (text.rjust(width) if to_right else text.ljust(width)
                  for text, width, to_right in zip(row, widths, right, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join(("-" * (width + 1) + ":") if to_right else "-" * (width + 2)
                          for width, to_right in zip(widths, right, strict=True)) + "|"
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])])


def verdict(value: float, target: float) -> str:
    """Whether a figure is within its target."""
    return "ok" if value <= target else "MISSED"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
