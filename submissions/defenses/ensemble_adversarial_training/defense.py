"""Ensemble adversarial training: one-step examples borrowed from other nets too (Tramer et al., arXiv 1705.07204)."""

from pathlib import Path

from field_kit.model import load
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
classify = NET.classify


if __name__ == "__main__":
    run_defense(classify)
