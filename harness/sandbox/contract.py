"""The arguments of the 2017 contract, in one place for both sandboxes."""

from __future__ import annotations

from pathlib import PurePath

from harness.tracks import TRACKS

INPUT = "/input_images"

#: Where a served program finds its batches and leaves its outputs.
SERVE_INPUT, SERVE_OUTPUT = "/batches", "/output"


def arguments(track: str, input_dir: PurePath | str, output_dir: PurePath | str, epsilon: int | None) -> list[str]:
    """What follows the entry point: where to read, where to write and, of some tracks, the bound as a bare decimal integer."""
    bound = [str(int(epsilon or 0))] if TRACKS[track].takes_bound else []
    return [str(input_dir), output(track, output_dir), *bound]


def output(track: str, output_dir: PurePath | str) -> str:
    """Where a program is told to write: a directory for images, the path of its file otherwise."""
    file = TRACKS[track].output
    return str(output_dir if file is None else PurePath(output_dir) / file)
