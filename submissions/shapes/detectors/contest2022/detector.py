"""The 2022 team's entry: patch, noise and stripes one after the other, and what is left by its stripes."""

import json
from pathlib import Path

import numpy as np

from field_kit.model import load
from field_kit.traces import column_stripes, largest_error, noise
from harness.sdk import run_detector

AUTOENCODER = load(Path(__file__).with_name("autoencoder.json"))
#: By measure, values at equal steps of rank over clean training images (submissions/training/calibrate_shapes.py).
CLEAN = {name: np.array(values) for name, values in json.loads(Path(__file__).with_name("clean.json").read_text()).items()}
#: Share of clean training images that a stage may take for its family.
TAKEN = 0.01


def rank(name: str, values: np.ndarray) -> np.ndarray:
    """Return where values lie among clean training images, 0..1."""
    return np.interp(values, CLEAN[name], np.linspace(0, 1, len(CLEAN[name])))


def suspect(images: np.ndarray) -> np.ndarray:
    """Return 1 and more for what a stage takes, by how far it is beyond the stage's threshold; below 1 the rank by stripes."""
    measured = {"patch": largest_error(AUTOENCODER, images), "stripes": column_stripes(images), "noise": noise(images)}
    scores = rank("stripes", measured["stripes"])
    beyond = np.zeros(len(images))
    for name, values in measured.items():
        threshold = np.quantile(CLEAN[name], 1 - TAKEN)
        beyond = np.where(beyond == 0, np.maximum(values / threshold - 1, 0), beyond)
    return np.where(beyond > 0, 1 + beyond, scores)


if __name__ == "__main__":
    run_detector(suspect)
