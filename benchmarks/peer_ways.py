"""The three ways of the peer benchmark: as in 2017, by this harness, and in one Python process.

Each returns its seconds and every label it got, as ``{"attack defense": [label of image 0, ...]}`` with -1 for none, so that the
ways can be shown to have done the same work. None profits from who came before: decoded pixels that a data set keeps beside it, and
code images of entries that are the benchmark's own, are removed.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml
from PIL import Image

from benchmarks.peer_workloads import Workload, kind_of
from harness import sdk
from harness.dataset.load import Dataset
from harness.dataset.load import load as load_dataset
from harness.dataset.pixel_cache import CACHE
from harness.sandbox.docker import DockerSandbox

Labels = dict[str, list[int]]


@dataclass(frozen=True)
class Took:
    """What a way took and found; ``busy`` is the slots' share, ``note`` one word on where time went."""

    seconds: float
    labels: Labels
    note: str
    busy: float | None = None


# --- as in 2017


def as_in_2017(workload: Workload, root: Path, sandbox: str) -> Took:
    """Every submission once over all its inputs, one after the other, images clipped and written again in between."""
    forget_pixels(workload)
    work = root / "plain"
    shutil.rmtree(work, ignore_errors=True)
    everything = work / "all-adversarial"
    everything.mkdir(parents=True)
    shutil.copytree(workload.dataset / "images", work / "clean")
    dataset = load_dataset(workload.dataset)
    rows = [f"{i}.png,{target}" for i, target in zip(dataset.ids, dataset.targets.tolist(), strict=True)]
    (work / "clean" / "target_class.csv").write_text("\n".join(rows) + "\n", encoding="ascii")
    forget_pixels(workload)

    made: dict[str, tuple[str, str]] = {}
    encoding = 0.0
    began = before = time.perf_counter()
    clean = {path.stem: np.asarray(Image.open(path).convert("RGB"), np.int16) for path in sorted((work / "clean").glob("*.png"))}
    encoding += time.perf_counter() - before
    for attack in (*workload.attacks, *workload.targeted):
        raw = work / attack.name
        raw.mkdir()
        plain_run(sandbox, attack, [(work / "clean", "/input_images"), (raw, "/output_images")], str(workload.epsilon))
        before = time.perf_counter()
        for image, pixels in clean.items():
            made[f"{len(made):06d}.png"] = attack.name, image
            re_encode(pixels, raw / f"{image}.png", everything / f"{len(made) - 1:06d}.png", workload.epsilon)
        encoding += time.perf_counter() - before
    labels: Labels = {}
    for defense in workload.defenses:
        answers = work / f"{defense.name}-answers"
        answers.mkdir()
        plain_run(sandbox, defense, [(everything, "/input_images"), (answers, "/output_data")])
        read_answers(answers / "result.csv", defense.name, made, dataset, labels)
    seconds = time.perf_counter() - began
    shutil.rmtree(work)
    return Took(seconds, labels, f"PNG re-encoding {encoding:.1f} s; {len(workload.entries)} runs")


def plain_run(sandbox: str, code: Path, folders: list[tuple[Path, str]], *more: str) -> None:
    """One program over everything: `docker run`, or the program itself, with all cores and the threads that its author chose."""
    metadata = json.loads((code / "metadata.json").read_text(encoding="utf-8"))
    if sandbox == "docker":
        mounts = [f"--volume={host}:{inside}" for host, inside in (*folders, (code, "/code"))]
        paths = [inside for _, inside in folders]
        command = ["docker", "run", "--rm", "--network=none", *mounts, "--workdir=/code", metadata["container"],
                   f"./{metadata['entry_point']}"]
    else:
        paths = [str(host) for host, _ in folders]
        command = ["env", f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}", f"./{metadata['entry_point']}"]
    if metadata["type"] == "defense":
        paths[1] += "/result.csv"
    ended = subprocess.run([*command, *paths, *more], check=False, cwd=code, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{code.name} failed:\n{ended.stderr}")


def re_encode(clean: np.ndarray[Any, Any], raw: Path, cut: Path, epsilon: int) -> None:
    """Read, clip to epsilon, write again at Pillow's default level."""
    made = np.asarray(Image.open(raw).convert("RGB"), np.int16)
    bounded = made.clip(np.maximum(clean - epsilon, 0), np.minimum(clean + epsilon, 255)).astype(np.uint8)
    Image.fromarray(bounded).save(cut)


def read_answers(result: Path, defense: str, made: dict[str, tuple[str, str]], dataset: Dataset, labels: Labels) -> None:
    """Sort a result.csv over all images by attack."""
    position = {image: number for number, image in enumerate(dataset.ids)}
    for line in result.read_text(encoding="ascii").splitlines():
        name, label = line.split(",")[:2]  # scores may follow
        attack, image = made[name]
        labels.setdefault(f"{attack} {defense}", [-1] * len(position))[position[image]] = int(label)


# --- by the harness


def by_harness(workload: Workload, root: Path, sandbox: str, isolation: str, slots: int, batch: int) -> Took:
    """`harness run` as a person starts it, on a fresh state directory: registration and clean images included."""
    forget_pixels(workload)
    state = root / "ours"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    (state / "tournament.yaml").write_text(yaml.safe_dump({
        "name": "peer", "dataset": str(workload.dataset), "state": "state",
        "submissions": [str(entry) for entry in workload.entries],
        "rules": {"batch_size": batch, "max_epsilon": [workload.epsilon]},
        "sandbox": {"backend": sandbox, "isolation": isolation}, "workers": {"slots": slots, "gpus": "none"}}), encoding="utf-8")
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "run", "--config", str(state / "tournament.yaml"),
         "--trace", str(state / "trace.json")], check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode:
        raise SystemExit(f"harness run failed:\n{ended.stderr}")
    runs, busy = busy_share(state / "trace.json", slots)
    return Took(seconds, stored_labels(state / "state" / "tournament.db", len(load_dataset(workload.dataset).ids)),
                f"{runs} runs, clean images included", busy)


_STORED = """SELECT attack.name, defense.name, round_batch.position, answer.labels
FROM run AS made JOIN submission AS attack ON attack.id = made.submission_id
JOIN input ON input.id = made.output_id JOIN round_batch ON round_batch.batch_id = input.batch_id
JOIN run AS answer ON answer.input_id = input.id JOIN submission AS defense ON defense.id = answer.submission_id
WHERE answer.labels IS NOT NULL ORDER BY round_batch.position"""


def stored_labels(database: Path, images: int) -> Labels:
    """Every label that the harness recorded on adversarial images."""
    labels: Labels = defaultdict(list)
    connection = sqlite3.connect(database)
    try:
        for attack, defense, _, packed in connection.execute(_STORED):
            labels[f"{attack} {defense}"] += np.frombuffer(packed, np.int16).tolist()
    finally:
        connection.close()
    return {pair: found if len(found) == images else [-1] * images for pair, found in labels.items()}


def forget_code_images(database: Path) -> None:
    """Remove the images that the harness made of the entries' directories."""
    connection = sqlite3.connect(database)
    try:
        digests = [digest for (digest,) in connection.execute("SELECT digest FROM submission")]
    finally:
        connection.close()
    DockerSandbox().remove_code_images(digests)


def busy_share(trace: Path, slots: int) -> tuple[int, float]:
    """Runs, and the share of slots x (first start to last end) in which a slot ran a program, overlaps counted once."""
    events = [event for event in json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
              if event["ph"] == "X" and event["cat"] == "run"]
    tracks = defaultdict(list)
    for event in events:
        tracks[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    first = min(span[0] for spans in tracks.values() for span in spans)
    last = max(span[1] for spans in tracks.values() for span in spans)
    busy = 0.0
    for spans in tracks.values():
        until = first
        for began, ended in sorted(spans):
            busy += max(0.0, ended - max(began, until))
            until = max(until, ended)
    return len(events), busy / slots / (last - first)


# --- the limit


def in_one_process(workload: Workload, threads: int) -> Took:
    """The same functions, called on arrays; where the libraries use one core, ``threads`` pieces at a time."""
    forget_pixels(workload)
    began = time.perf_counter()
    dataset = load_dataset(workload.dataset)
    (whole,) = dataset.batches(len(dataset.ids), (workload.epsilon,))
    pixels, targets = dataset.pixels(whole), whole.targets.astype(np.int64)
    functions = {entry.name: function_of(entry) for entry in workload.entries}
    loading = time.perf_counter() - began
    piece = workload.piece or len(pixels)
    labels: Labels = {f"{attack.name} {defense.name}": [-1] * len(pixels)
                      for attack in (*workload.attacks, *workload.targeted) for defense in workload.defenses}

    def one(attack: Path, at: slice) -> None:
        clean = pixels[at]
        made = functions[attack.name](clean.copy(), *((targets[at],) if attack in workload.targeted else ()), workload.epsilon)
        low, high = (clean.astype(np.int16) + sign * workload.epsilon for sign in (-1, 1))
        bounded = made.astype(np.int16).clip(low, high).clip(0, 255).astype(np.uint8)
        for defense in workload.defenses:
            answered = functions[defense.name](bounded.copy())
            # A defense may give scores too.
            given = answered[0] if isinstance(answered, tuple) else answered
            labels[f"{attack.name} {defense.name}"][at] = given.tolist()

    with ThreadPoolExecutor(threads if workload.piece else 1) as pool:
        for done in [pool.submit(one, attack, slice(start, min(start + piece, len(pixels))))
                     for attack in (*workload.attacks, *workload.targeted) for start in range(0, len(pixels), piece)]:
            done.result()
    return Took(time.perf_counter() - began, labels, f"imports and weights {loading:.1f} s, {threads} threads")


def function_of(entry: Path) -> Callable[..., Any]:
    """The function that an entry hands to the SDK; modules of its own directory are forgotten again, names repeat."""
    program = entry / ("defense.py" if kind_of(entry) == "defense" else "attack.py")
    caught: list[Callable[..., Any]] = []

    def catch(function: Callable[..., Any], **options: object) -> None:
        del options
        caught.append(function)

    before = set(sys.modules)
    with mock.patch.multiple(sdk, run_attack=catch, run_targeted_attack=catch, run_defense=catch), \
            mock.patch.object(sys, "path", [str(entry), *sys.path]):
        runpy.run_path(str(program), run_name="__main__")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(entry)):
            del sys.modules[name]
    return caught[0]


def forget_pixels(workload: Workload) -> None:
    """Large data sets cache their decoded pixels; no way should profit from an earlier one."""
    shutil.rmtree(workload.dataset / CACHE, ignore_errors=True)
