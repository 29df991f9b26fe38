"""EfficientNet-Lite 2, undefended."""

from harness.sdk import run_defense
from lite_nets import load

NET = load("lite2")
classify = NET.classify


if __name__ == "__main__":
    run_defense(classify, at_once=10)
