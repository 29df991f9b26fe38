"""MagNet's detectors: what an autoencoder changes in an image, and in what a net says of it (arXiv 1705.09064, section 4)."""

import json
from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from harness.sdk import run_detector

AUTOENCODER = load(Path(__file__).with_name("autoencoder.json"))
NET = load(Path(__file__).with_name("model.json"))
TEMPERATURES = (10, 40)
#: By measure, values at equal steps of rank over clean training images (submissions/training/calibrate_shapes.py).
CLEAN = {name: np.array(values) for name, values in json.loads(Path(__file__).with_name("clean.json").read_text()).items()}


def divergence(one: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the Jensen-Shannon divergence [n] of two softmaxes at a temperature, in nats (section 4.3)."""
    log_p, log_q = (logits.double().div(temperature).log_softmax(1) for logits in (one, other))
    log_m = torch.logaddexp(log_p, log_q) - np.log(2)
    return 0.5 * ((log_p.exp() * (log_p - log_m)).sum(1) + (log_q.exp() * (log_q - log_m)).sum(1))


@torch.inference_mode()
def measures(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return every detector's number for each image."""
    pixels = to_tensor(images)
    again = AUTOENCODER(pixels)
    error, said, said_again = (again - pixels).flatten(1), NET(pixels), NET(again)
    found = {"l1": error.abs().mean(1), "l2": error.square().mean(1).sqrt()}
    found |= {f"jsd{t}": divergence(said, said_again, t) for t in TEMPERATURES}
    return {name: values.cpu().numpy() for name, values in found.items()}


def suspect(images: np.ndarray) -> np.ndarray:
    """Return the highest of the detectors' numbers, each in units of what 1 % of clean training images exceed."""
    found = measures(images)
    return np.max([values / np.quantile(CLEAN[name], 0.99) for name, values in found.items()], axis=0)


if __name__ == "__main__":
    run_detector(suspect)
