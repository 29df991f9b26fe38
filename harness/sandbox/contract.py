"""The arguments of the 2017 contract, in one place for both sandboxes."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

Kind = Literal["attack", "defense"]

INPUT = "/input_images"
OUTPUT = {"attack": "/output_images", "defense": "/output_data"}

#: Where a served program finds its batches and leaves its outputs.
SERVE_INPUT, SERVE_OUTPUT = "/batches", "/output"

RESULT_FILE = "result.csv"


def arguments(kind: Kind, input_dir: PurePath | str, output_dir: PurePath | str, epsilon: int | None) -> list[str]:
    """What follows the entry point: epsilon as a bare decimal integer for attacks, the path of result.csv for defenses."""
    if kind == "attack":
        return [str(input_dir), str(output_dir), str(int(epsilon or 0))]
    return [str(input_dir), str(PurePath(output_dir) / RESULT_FILE)]


def served_output(kind: Kind, output_dir: PurePath | str) -> str:
    """The ``output`` of a serving request: a directory for attacks, the path of result.csv for defenses."""
    return str(output_dir) if kind == "attack" else str(PurePath(output_dir) / RESULT_FILE)
