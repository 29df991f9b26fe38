"""Adversarial training with one-step examples (Goodfellow et al., arXiv 1412.6572; from a random start, arXiv 2001.03994)."""

from pathlib import Path

from field_kit.model import load
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
classify = NET.classify


if __name__ == "__main__":
    run_defense(classify)
