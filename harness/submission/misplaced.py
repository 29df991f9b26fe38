"""What was given instead of a submission, by name: a saved image, a directory too many, a file under another name.

Nothing is guessed and then accepted: a submission is where its author says it is, and this only helps to name it.
"""

from __future__ import annotations

import difflib
import os
from itertools import islice
from pathlib import Path

from harness.submission.code_tree import shown
from harness.submission.problems import Problem

_METADATA = "metadata.json"
#: Names of a directory that are checked, and directories.
_MOST_NAMES, _MOST_PLACES = 1000, 200
_MOST_TOLD = 3
_DEPTH = 3
_PACKED = (".zip", ".tar", ".tar.gz", ".tgz")


def without_metadata(root: Path) -> Problem | None:
    """What a directory without metadata.json is, if recognised."""
    names = _names(root)
    if "oci-layout" in names or ("manifest.json" in names and any((root / name / "layer.tar").is_file() for name in names)):
        step = "Load it with `docker load -i FILE`, and submit the image by its name."
        return Problem(_METADATA, "it is not there: this is a saved Docker image.", step)
    if {"bin", "etc", "usr"} <= set(names):
        step = "Make an image of it with `docker import`, and submit the image by its name."
        return Problem(_METADATA, "it is not there: this is the file system of a container.", step)
    near = difflib.get_close_matches(_METADATA, {name.lower()[:64]: name for name in names}, n=1, cutoff=0.8)
    if near:
        name = next(name for name in names if name.lower()[:64] == near[0])
        return Problem(_METADATA, f"it is not there, but {shown(name)} is.", "Rename it to metadata.json.")
    return _deeper(root, names)


def _deeper(root: Path, names: list[str]) -> Problem | None:
    places = [""]
    found: list[str] = []
    for place in places:
        for name in _names(root / place):
            below = f"{place}/{name}".lstrip("/")
            if (root / below).is_symlink() or not (root / below).is_dir():
                continue
            if (root / below / _METADATA).is_file():
                found.append(below)
            elif below.count("/") < _DEPTH - 1 and len(places) < _MOST_PLACES:
                places.append(below)
    if not found:
        return None
    told = ", ".join(shown(place) for place in found[:_MOST_TOLD])
    if len(found) > 1:
        return Problem(_METADATA, f"it is not in the root; there are {len(found)}: in {told}.", "Submit each by itself.")
    beside = [name for name in names if name != found[0].split("/", maxsplit=1)[0]]
    lie = f"; beside that are {', '.join(shown(name) for name in beside[:_MOST_TOLD])}" if beside else ""
    return Problem(_METADATA, f"it is not in the root, but in {told}{lie}.", f"Submit, or pack, {told} alone.")


def close_by(path: str) -> str:
    """Paths that a mistyped one may mean, as words for a sentence; empty where there is none."""
    folder, name = os.path.split(path.rstrip("/"))
    names = [held for held in _names(Path(folder or ".")) if (Path(folder) / held).is_dir() or held.endswith(_PACKED)]
    near = difflib.get_close_matches(name[:255], names, n=_MOST_TOLD, cutoff=0.7)
    return " or ".join(shown(Path(folder) / held) for held in near)


def _names(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in islice(entries, _MOST_NAMES))
    except (OSError, ValueError):
        return []
