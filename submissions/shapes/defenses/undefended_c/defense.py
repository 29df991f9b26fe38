"""A separable net for the rendered shapes, undefended."""

from pathlib import Path

from field_kit.model import load
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
classify = NET.classify


if __name__ == "__main__":
    run_defense(classify)
