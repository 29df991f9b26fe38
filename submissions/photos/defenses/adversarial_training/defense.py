"""EfficientNet-Lite 1 after ensemble adversarial training (Tramer et al., arXiv 1705.07204) of its batch normalisation and stem."""

from pathlib import Path

from safetensors.torch import load_file

from harness.sdk import run_defense
from lite_nets import load

NET = load("lite1")
TRAINED = load_file(Path(__file__).with_name("trained.safetensors"))
NET.net.load_state_dict({name: value.float() for name, value in TRAINED.items()}, strict=False)
classify = NET.classify


if __name__ == "__main__":
    run_defense(classify, at_once=10)
