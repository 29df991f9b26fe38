"""What do detectors cost the tables of a 2017-size final? Scoring, three views, with and without 20 detectors.

Verdicts and scores are random and made here; nothing is read from a store. The worst case for sorting: every image is changed by
every attack, every score is another one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from benchmarks.measure import machine, table, verdict
from harness.scoring import CORRECT, LABELLED, Detections, Entry, Results, View, complete
from harness.scoring.leaderboard import build_leaderboards

TARGET_S = 1.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("attacks", 162), ("defenses", 110), ("detectors", 20), ("images", 5000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    print(f"Detectors. {machine()}. {options.attacks} attacks, {options.defenses} defenses, {options.detectors} detectors, "
          f"{options.images:,} images; best of {options.repeats}, taken in turns.\n")
    scored = make(options.attacks, options.defenses, options.detectors, options.images)
    plain = replace(scored, detectors=(), detections=None)
    took: list[list[tuple[float, float]]] = [[], []]
    for _ in range(options.repeats):
        for each, results in zip(took, (plain, scored), strict=True):
            began, used = time.perf_counter(), time.process_time()
            build_leaderboards(results, tuple(View))
            each.append((time.perf_counter() - began, time.process_time() - used))
    (without_s, without_cpu_s), (with_s, with_cpu_s) = ([min(column) for column in zip(*each, strict=True)] for each in took)
    more_s = with_s - without_s
    print(table(["scoring, three views", "s", "s of processor", "target", ""], [
        ["without detectors", without_s, without_cpu_s, "", ""], ["with them", with_s, with_cpu_s, "", ""],
        ["more", more_s, with_cpu_s - without_cpu_s, f"<= {TARGET_S:g}", verdict(more_s, TARGET_S)]]))


def make(attacks: int, defenses: int, detectors: int, images: int) -> Results:
    """A complete round."""
    generator = np.random.default_rng(1)
    correct = generator.integers(0, 2, (attacks, defenses, images), np.uint8)
    results = complete(
        tuple(_entry(f"attack_{place}", "attack", place) for place in range(attacks)),
        tuple(_entry(f"defense_{place}", "defense", attacks + place) for place in range(defenses)),
        truth=np.zeros(images, np.int32), target=np.ones(images, np.int32), produced=np.ones((attacks, images), np.bool_),
        codes=LABELLED | (correct * CORRECT), clean_codes=np.full((defenses, images), LABELLED | CORRECT, np.uint8))
    names, shape = tuple(f"detector_{place}" for place in range(detectors)), (detectors, attacks, images)
    return replace(
        results, detectors=tuple(_entry(name, "detector", place) for place, name in enumerate(names)),
        detections=Detections(
            tuple(entry.name for entry in results.attacks), names, generator.random(shape, np.float32) + np.float32(0.1),
            generator.random(shape, np.float32), np.ones((attacks, images), np.bool_), np.ones((detectors, attacks, 1), np.bool_)))


def _entry(name: str, track: str, order: int) -> Entry:
    return Entry(name, "", track, baseline=False, order=order, digest="")


if __name__ == "__main__":
    main()
