"""The 2022 contest's detector of FGSM and universal perturbations: the value channel's histogram after a Laplacian."""

from field_kit.traces import noise
from harness.sdk import run_detector

suspect = noise


if __name__ == "__main__":
    run_detector(suspect)
