"""EfficientNet-Lite 1, undefended."""

from harness.sdk import run_defense
from lite_nets import load

NET = load("lite1")
classify = NET.classify


if __name__ == "__main__":
    run_defense(classify, at_once=10)
