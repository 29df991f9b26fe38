"""The trace file is what Perfetto and chrome://tracing read."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from harness.engine.trace import Tracer


def test_spans_become_complete_events_on_named_tracks(tmp_path: Path) -> None:
    tracer = Tracer()
    job = SimpleNamespace(name="fgsm", run_id=7)
    tracer.span("cpu1", "run", job, 100.0, 100.5)  # type: ignore[arg-type]
    tracer.span("cpu0", "run", job, 100.0, 102.0)  # type: ignore[arg-type]
    tracer.write(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    spans = {names[event["tid"]]: event for event in events if event["ph"] == "X"}
    assert sorted(spans) == ["cpu0", "cpu1"]
    assert round(spans["cpu0"]["dur"]) == 2_000_000
    assert spans["cpu1"]["args"] == {"run": 7, "stage": "run"}
