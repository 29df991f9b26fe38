"""What every slot did, as a Chrome/Perfetto trace, and the sums that `harness status` prints.

The trace-event format is JSON: one complete event ("ph": "X") with microseconds per span. Load the file in ui.perfetto.dev or
chrome://tracing.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from harness.execution.job import Job
from harness.files import whole_file


class Tracer:
    """Collects spans from any thread; a span is one list entry, so that tracing costs microseconds."""

    def __init__(self) -> None:
        self._origin = time.monotonic()
        self._lock = threading.Lock()
        self._spans: list[tuple[str, str, str, int, float, float]] = []

    def span(self, track: str, stage: str, job: Job, began: float, ended: float) -> None:
        """Record that ``track`` (a slot, or the harness's own work) did ``stage`` of a job; monotonic seconds."""
        entry = (track, stage, job.name, job.run_id, began - self._origin, ended - began)
        with self._lock:
            self._spans.append(entry)

    def write(self, path: Path) -> None:
        """Write the trace file."""
        tracks = {track: number for number, track in enumerate(sorted({span[0] for span in self._spans}), 1)}
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": track}}
            for track, number in tracks.items()]
        events += [
            {"ph": "X", "pid": 1, "tid": tracks[track], "cat": stage, "name": name, "ts": began * 1e6, "dur": seconds * 1e6,
             "args": {"run": run, "stage": stage}}
            for track, stage, name, run, began, seconds in self._spans]
        with whole_file(path) as file:
            file.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")
