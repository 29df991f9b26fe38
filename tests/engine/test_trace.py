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
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    spans = {names[event["tid"]]: event for event in events if event["ph"] == "X"}
    assert sorted(spans) == ["cpu0", "cpu1"]
    assert round(spans["cpu0"]["dur"]) == 2_000_000
    assert spans["cpu1"]["args"] == {"run": 7, "stage": "run"}


def test_each_machine_is_a_process_with_tracks_of_its_own(tmp_path: Path) -> None:
    head, north, south = Tracer(), Tracer(), Tracer()
    job = SimpleNamespace(name="fgsm", run_id=7)
    for number, (name, tracer) in enumerate({"north": north, "south": south}.items()):
        for track in (f"{name}/cpu0", "prepare"):
            tracer.span(track, "run", job, 100.0 + number, 102.0 + number)  # type: ignore[arg-type]
        head.add(name, tracer.take())
    assert north.take() == ()
    head.write(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    machines = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    tracks = {(machines[event["pid"]], event["args"]["name"]) for event in events if event["name"] == "thread_name"}
    assert tracks == {(name, track) for name in ("north", "south") for track in ("cpu0", "prepare")}
    begins = {machines[event["pid"]]: round(event["ts"] / 1e6) for event in events if event["ph"] == "X"}
    assert begins == {"north": 0, "south": 1}
