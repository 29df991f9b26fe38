"""The 2022 contest's detector of Square attack: vertical stripes in the hue channel."""

from field_kit.traces import column_stripes
from harness.sdk import run_detector

suspect = column_stripes


if __name__ == "__main__":
    run_detector(suspect)
