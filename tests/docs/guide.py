"""Command blocks of a document: found, run in order in one shell, and what they printed compared with what the document shows.

A block ```` ```bash run ```` is run with the process sandbox, ```` ```bash docker ```` with Docker, one marked both with each. A
```` ```text ```` block after it holds lines of its output; figures, digests and the width of columns may differ.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIABLE = re.compile(r"\b[0-9a-f]{12,64}\b|[\d.,]*\d(?:-[\d.,]*\d)?")


@dataclass
class Block:
    """One command block and the output that stands after it."""

    line: int
    words: list[str]
    text: str
    shown: list[str] = field(default_factory=list)


def blocks(document: Path) -> list[Block]:
    """All command blocks of a document, in order."""
    found: list[Block] = []
    text = document.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        words = fence[1].split()
        if words[:1] == ["bash"]:
            found.append(Block(text.count("\n", 0, fence.start()) + 1, words[1:], fence[2]))
        elif words == ["text"] and found:
            found[-1].shown = fence[2].splitlines()
    return found


def run(chosen: list[Block], place: Path, **env: str) -> list[str]:
    """Run blocks in one shell, as a person would; what each printed, stderr included.

    Raises:
        AssertionError: A command ended with an exit code other than 0.
    """
    for name in ("submissions", "docker"):
        (place / name).symlink_to(ROOT / name)
    mark = "@@@@ block"
    script = "set -euo pipefail\n" + "".join(f"echo '{mark} {number}'\n{block.text}" for number, block in enumerate(chosen))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, "PATH": path, "COLUMNS": "100", "OMP_NUM_THREADS": "1", **env})
    printed = re.split(rf"^{mark} \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    where = chosen[len(printed) - 1].line if printed else 0
    assert done.returncode == 0, f"the block at line {where} ended with {done.returncode}:\n{done.stdout[-3000:]}"
    return printed


def missing(block: Block, printed: str) -> list[str]:
    """Lines that the document shows and the command did not print."""
    said = {_bare(line) for line in printed.splitlines()}
    return [line for line in block.shown if _bare(line) not in said]


def _bare(line: str) -> str:
    return " ".join(_VARIABLE.sub("#", line).split())
