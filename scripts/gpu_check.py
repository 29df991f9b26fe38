"""Measure a GPU with the default tournament, served and one-shot, one and four runs at a time; see gpu_check.sh.

Each part is a tournament of its own in a temporary directory, in the process sandbox. A part whose time is up is ended as by
Ctrl-C, and its figures are of what it did until then. Exit code 2 where there is no GPU, 1 where a part failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.engine import gpu
from harness.errors import HarnessError

ROOT = Path(__file__).resolve().parent.parent
HARNESS = [sys.executable, "-c", "from harness.cli.main import main; main()"]
#: Name, isolation, runs at a time on a GPU, share of the time, and at most how many entries of each pattern
#: (one-shot, each run imports torch again).
PARTS = (("served, 1 at a time", "submission", 1, 0.35, None), ("served, 4 at a time", "submission", 4, 0.25, None),
         ("one-shot, 1 at a time", "run", 1, 0.2, 3), ("one-shot, 4 at a time", "run", 4, 0.2, 3))
#: Holds memory of the GPU and does not end.
HOARDER = """import sys, time
import torch
if torch.cuda.is_available():
    kept = torch.ones(1 << 28, device="cuda")
    torch.cuda.synchronize()
print("holding", flush=True)
time.sleep(3600)
"""
SAMPLE_S = 0.5


@dataclass
class Figures:
    """What one part did."""

    part: str
    runs: int
    images: int
    seconds: float
    images_per_second: float
    gpu_busy_share: float
    gpu_memory_peak_mib: int
    finished: bool
    outcomes: dict[str, int]


class Sampled(threading.Thread):
    """How busy the GPUs are and what memory is in use, twice a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.busy: list[float] = []
        self.memory: list[int] = [0]

    def run(self) -> None:
        """Sample until stopped; what cannot be read is left out."""
        while not self._over.wait(SAMPLE_S):
            try:
                said = gpu.ask(["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"], 10)
            except gpu.ProbeError:
                continue
            rows = [line.split(",") for line in (said or "").splitlines()]
            numbers = [(int(busy), int(used)) for busy, used in rows if busy.strip().isdigit() and used.strip().isdigit()]
            if numbers:
                self.busy.append(sum(busy for busy, _ in numbers) / len(numbers) / 100)
                self.memory.append(sum(used for _, used in numbers))

    def stop(self) -> None:
        """No more samples."""
        self._over.set()
        self.join()


def harness(*words: str) -> subprocess.CompletedProcess[str]:
    """A command of the harness that ends by itself."""
    return subprocess.run([*HARNESS, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def play(config: Path, isolation: str, limit_s: float) -> tuple[float, bool, str]:
    """`harness run` until it ends or its time is up; seconds, whether it ended by itself, its stderr."""
    began = time.monotonic()
    process = subprocess.Popen([*HARNESS, "run", "--config", str(config), "--sandbox", "process", "--isolation", isolation],
                               cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        return time.monotonic() - began, False, said
    if process.returncode != 0:
        raise RuntimeError(said.strip() or f"harness run ended with exit code {process.returncode}")
    return time.monotonic() - began, True, said


def written(source: Path, directory: Path, per_gpu: int, entries: int | None) -> Path:
    """A copy of a tournament file with a state directory of its own and slots on the GPU."""
    config = yaml.safe_load(source.read_text())
    base = source.parent
    found = [sorted(base.glob(pattern)) for pattern in config["submissions"]]
    chosen = [path for paths in found for path in paths[:: -(-len(paths) // entries) if entries and paths else 1]]
    config |= {"dataset": str((base / config["dataset"]).resolve()), "submissions": [str(path.resolve()) for path in chosen],
               "state": str(directory / "state")}
    config["workers"] = {**config.get("workers", {}), "engine": "local", "gpus": "auto", "slots_per_gpu": per_gpu}
    config["sandbox"] = {**config.get("sandbox", {}), "backend": "process"}
    directory.mkdir()
    path = directory / "tournament.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def part(source: Path, directory: Path, name: str, isolation: str, per_gpu: int, entries: int | None, limit_s: float) -> Figures:
    """Run one part and report it."""
    config = written(source, directory, per_gpu, entries)
    sampled = Sampled()
    sampled.start()
    try:
        seconds, finished, _ = play(config, isolation, limit_s)
    finally:
        sampled.stop()
    # A part whose time was up before its round began has no status.
    told = harness("status", "--config", str(config), "--format", "json").stdout
    status = json.loads(told) if told or finished else {"kinds": [], "outcomes": {}}
    runs = sum(kind["done"] for kind in status["kinds"])
    images = runs * int(yaml.safe_load(config.read_text())["rules"].get("batch_size", 100))
    return Figures(name, runs, images, round(seconds, 1), round(images / seconds, 1),
                   round(sum(sampled.busy) / max(1, len(sampled.busy)), 3), max(sampled.memory), finished,
                   {outcome: facts["runs"] for outcome, facts in status["outcomes"].items()})


def killed(source: Path, directory: Path, kill_after_s: float) -> str:
    """A run that holds GPU memory past its limit: what the harness says of the memory after the kill."""
    config = written(source, directory, 1, None)
    entry = directory / "hoarder"
    entry.mkdir()
    (entry / "metadata.json").write_text(json.dumps({"type": "attack", "container": "none", "entry_point": "run.sh"}))
    (entry / "hoard.py").write_text(HOARDER)
    (entry / "run.sh").write_text(f"#!/bin/sh\nexec {sys.executable} hoard.py\n")
    (entry / "run.sh").chmod(0o755)
    described = yaml.safe_load(config.read_text())
    defenses = [path for path in described["submissions"] if '"defense"' in (Path(path) / "metadata.json").read_text()]
    described["submissions"] = [str(entry), *defenses[:1]]
    described["rules"]["time_limit_s"] = kill_after_s
    config.write_text(yaml.safe_dump(described, sort_keys=False))
    play(config, "run", 60 + 8 * kill_after_s)
    shown = json.loads(harness("show", "hoarder", "--config", str(config), "--format", "json").stdout)
    said = sorted({sentence for failure in shown["failures"] for sentence in _sentences(failure) if "GPU memory" in sentence})
    return " ".join(said) or "Its GPU memory was free at once."


def _sentences(found: Any) -> list[str]:  # noqa: ANN401 - whatever JSON holds
    if isinstance(found, str):
        return [found]
    values = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [sentence for value in values for sentence in _sentences(value)]


def main() -> int:
    """Run all parts; prints a table, and writes gpu_check.json where a directory is given."""
    asked = argparse.ArgumentParser(description="What a GPU is worth here.")
    asked.add_argument("--config", type=Path, default=ROOT / "tournament.yaml", help="The tournament file to play.")
    asked.add_argument("--seconds", type=float, default=400.0, help="For all parts together.")
    asked.add_argument("--kill-after", type=float, default=15.0, help="Seconds after which a run that holds GPU memory is killed.")
    asked.add_argument("--out", type=Path, help="Directory for gpu_check.json.")
    options = asked.parse_args()
    try:
        cards = gpu.detect()
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    if not cards:
        print("There is no GPU here: nvidia-smi is absent, or lists none.", file=sys.stderr)
        return 2
    work = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        figures = []
        for number, (name, isolation, per_gpu, share, entries) in enumerate(PARTS):
            figures.append(part(options.config, work / str(number), name, isolation, per_gpu, entries, share * options.seconds))
            print(json.dumps(asdict(figures[-1])), flush=True)
        memory = killed(options.config, work / "killed", options.kill_after)
    except (RuntimeError, json.JSONDecodeError) as error:
        print(f"A part failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n{', '.join(f'{card.name} (driver {card.driver})' for card in cards)}, {os.cpu_count()} cores")
    print(f"{'':24}{'runs':>6}{'s':>8}{'images/s':>10}{'GPU busy':>10}{'MiB':>8}")
    for row in figures:
        print(f"{row.part:24}{row.runs:>6}{row.seconds:>8}{row.images_per_second:>10}{row.gpu_busy_share:>10.1%}"
              f"{row.gpu_memory_peak_mib:>8}{'' if row.finished else '   time was up'}")
    print(f"A run killed at its limit: {memory}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "gpu_check.json").write_text(json.dumps(
            {"cards": [asdict(card) for card in cards], "parts": [asdict(row) for row in figures], "killed": memory}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
