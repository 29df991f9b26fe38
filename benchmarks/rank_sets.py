"""Do rank sets hold, and what do they cost? Simulated contests whose true ranks are known.

An entry with ability a is right on an image of difficulty z where a + z + noise > 0, z and noise standard normal: entries share
the difficulty of the images, as in a contest. The true rank is 1 + the number of strictly abler entries. Beside the rank sets
stand the 2.5th and 97.5th percentiles of the resampled ranks, which the leaderboard showed in version 0.1.0.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import machine, table
from harness.scoring.bootstrap import LEVEL, resampled_scores
from harness.scoring.rank_sets import rank_sets
from harness.scoring.ranking import ranks

#: Name to (entries, step between neighbours in standard deviations of the noise).
TRUTHS = {"2 equal": (2, 0.0), "5 equal": (5, 0.0), "10 equal": (10, 0.0), "20 equal": (20, 0.0), "5, steps of .05": (5, 0.05),
          "10, steps of .02": (10, 0.02), "10, steps of .1": (10, 0.1), "10, steps of .3": (10, 0.3),
          "20, steps of .02": (20, 0.02), "20, steps of .1": (20, 0.1)}

Ends = tuple[NDArray[np.int64], NDArray[np.int64]]


def simulate(generator: np.random.Generator, entries: int, step: float, images: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Right answers, int64[entries, images] of 0 and 1, and the true ranks, int64[entries]."""
    ability = -step * np.arange(entries)
    able = ability[:, None] + generator.standard_normal(images) + generator.standard_normal((entries, images))
    return (able > 0).astype(np.int64), ranks(ability.astype(np.float64))


def percentiles(scores: NDArray[np.float64], point: NDArray[np.float64]) -> Ends:
    """The former way."""
    low, high = np.quantile(ranks(scores), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0, method="inverted_cdf").astype(np.int64)
    return np.minimum(low, ranks(point)), np.maximum(high, ranks(point))


def cover(entries: int, step: float, images: int, data_sets: int, resamples: int) -> dict[str, NDArray[np.float64]]:
    """Marginal coverage, simultaneous coverage and mean width of both ways."""
    generator = np.random.default_rng(entries)
    found: dict[str, list[tuple[float, float, float]]] = {"percentiles": [], "rank sets": []}
    for number in range(data_sets):
        right, true = simulate(generator, entries, step, images)
        scores, point = resampled_scores(right, np.ones_like(right), resamples, number), right.mean(1)
        ways = {"percentiles": percentiles(scores, point),
                "rank sets": rank_sets(scores, point, np.full(entries, images), LEVEL)}
        for name, (low, high) in ways.items():
            held = (low <= true) & (true <= high)
            found[name].append((float(held.mean()), float(held.all()), float((high - low + 1).mean())))
    return {name: np.array(values).mean(0) for name, values in found.items()}


def cost(entries: int, images: int, resamples: int) -> tuple[float, float]:
    """Seconds of processor for the rank sets of one track, and their mean width."""
    generator = np.random.default_rng(1)
    right, _ = simulate(generator, entries, 3 / entries, images)
    scores, point = resampled_scores(right, np.ones_like(right), resamples), right.mean(1)
    began = time.process_time()
    low, high = rank_sets(scores, point, np.full(entries, images), LEVEL)
    return time.process_time() - began, float((high - low + 1).mean())


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=400)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args()
    print(f"Rank sets. {machine()}. {options.data_sets} data sets of {options.images} images, {options.resamples} resamples; "
          "marginal cover / all at once / mean width.\n")
    rows = []
    for name, (entries, step) in TRUTHS.items():
        found = cover(entries, step, options.images, options.data_sets, options.resamples)
        rows.append([name, *("{:.2f} / {:.2f} / {:.1f}".format(*values) for values in found.values())])
    print(table(["truth", "percentiles of ranks", "rank sets"], rows))
    for entries in (20, 110, 162):
        spent, width = cost(entries, 5000, options.resamples)
        print(f"\n{entries} entries ({entries * (entries - 1) // 2:,} pairs), 5,000 images: {spent:.3f} s of processor, "
              f"mean width {width:.1f}.")


if __name__ == "__main__":
    main()
