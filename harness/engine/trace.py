"""What every slot did, as a Chrome/Perfetto trace, and the sums that `harness status` prints.

The trace-event format is JSON: one complete event ("ph": "X") with microseconds per span, each machine as a process of its own.
Load the file in ui.perfetto.dev or chrome://tracing. Times are by each machine's own clock.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.execution.job import Job
from harness.files import whole_file

#: Track, stage, submission, run, begin (seconds since the epoch), seconds.
Span = tuple[str, str, str, int, float, float]

_HERE = "this machine"


class Tracer:
    """Collects spans from any thread; a span is one list entry, so that tracing costs microseconds."""

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()
        self._lock = threading.Lock()
        self._spans: dict[str, list[Span]] = {}

    def span(self, track: str, stage: str, job: Job, began: float, ended: float) -> None:
        """Record that ``track`` (a slot, or the harness's own work) did ``stage`` of a job; monotonic seconds."""
        self.add(_HERE, [(track, stage, job.name, job.run_id, began + self._epoch, ended - began)])

    def add(self, machine: str, spans: Sequence[Span]) -> None:
        """Record what another machine did."""
        with self._lock:
            self._spans.setdefault(machine, []).extend(spans)

    def take(self) -> tuple[Span, ...]:
        """What was recorded here since the last time, to be added elsewhere."""
        with self._lock:
            return tuple(self._spans.pop(_HERE, ()))

    def write(self, path: Path) -> None:
        """Write the trace file."""
        begin = min((span[4] for spans in self._spans.values() for span in spans), default=0.0)
        events: list[dict[str, Any]] = []
        for machine, (name, spans) in enumerate(sorted(self._spans.items()), 1):
            # A machine's slots carry its name, which is shown above them.
            tracks = {track: number for number, track in enumerate(sorted({span[0] for span in spans}), 1)}
            events.append({"ph": "M", "name": "process_name", "pid": machine, "tid": 0, "args": {"name": name}})
            events += [{"ph": "M", "name": "thread_name", "pid": machine, "tid": number,
                        "args": {"name": track.removeprefix(f"{name}/")}} for track, number in tracks.items()]
            events += [{"ph": "X", "pid": machine, "tid": tracks[track], "cat": stage, "name": who, "ts": (began - begin) * 1e6,
                        "dur": seconds * 1e6, "args": {"run": run, "stage": stage}}
                       for track, stage, who, run, began, seconds in spans]
        with whole_file(path) as file:
            file.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")
