"""The arguments of the 2017 contract, in one place for both sandboxes."""

from __future__ import annotations

from pathlib import PurePath

from harness.tracks import TRACKS

INPUT = "/input_images"

#: Where a served program finds its batches and leaves its outputs.
SERVE_INPUT, SERVE_OUTPUT = "/batches", "/output"

#: Where a white-box or grey-box attack finds its opponent's code.
TARGET = "/target"


def arguments(track: str, input_dir: PurePath | str, output_dir: PurePath | str, epsilon: int | None,
              target: PurePath | str | None = None) -> list[str]:
    """What follows the entry point: where to read, where to write and, of some tracks, the bound as a bare decimal integer.

    Behind those, where the program may read its opponent's code, the directory that holds it.
    """
    bound = [str(int(epsilon or 0))] if TRACKS[track].takes_bound else []
    return [str(input_dir), output(track, output_dir), *bound, *([] if target is None else [str(target)])]


def output(track: str, output_dir: PurePath | str) -> str:
    """Where a program is told to write: a directory for images, the path of its file otherwise."""
    file = TRACKS[track].output
    return str(output_dir if file is None else PurePath(output_dir) / file)
