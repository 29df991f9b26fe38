"""From a row to something that can be submitted: a directory, an archive, or a Docker image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.selftest.row import Row, Track
from harness.tracks import DEFENSE

PROGRAMS = Path(__file__).with_name("programs")
BASE_IMAGE = "localhost/harness-light:1"
#: Isolated and without site packages: Python then starts in 10 ms instead of 40. Rows that need Pillow say so.
_HEADS = {".py": "#!/usr/bin/env -S python3 -IS\n", ".sh": "#!/bin/bash\n"}
_PILLOW_HEAD = "#!/usr/bin/env python3\n"
_PRELUDE = "import os, sys\nsys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))\nfrom kit import *\n"


@dataclass(frozen=True)
class Source:
    """Something that can be submitted.

    Attributes:
        where: A path, or the id of an image.
        name: Its name in the tournament; None for the one that it gives itself.
        type: The track, where the source does not say it itself.
    """

    where: str
    name: str | None
    type: Track | None = None


@dataclass(frozen=True)
class Bench:
    """What the makers of entries use.

    Attributes:
        root: A directory for entries.
        planted: What hunters are told of the host: names to paths and ports.
        api: The Docker engine's client, None without Docker.
        images: Ids of images that were made.
    """

    root: Path
    planted: Mapping[str, str]
    api: Any
    images: list[str]


def program_text(file: str, *, pillow: bool = False) -> str:
    """A program of the corpus as it is run."""
    body = (PROGRAMS / file).read_text(encoding="utf-8")
    suffix = Path(file).suffix
    head = _PILLOW_HEAD if pillow else _HEADS[suffix]
    return head + (_PRELUDE if suffix == ".py" else "") + body


def directory(row: Row, bench: Bench) -> Source:
    """A 2017-format directory."""
    folder = bench.root / row.name
    metadata: dict[str, object] = {
        "type": row.track, "container": row.options.get("container", BASE_IMAGE), "entry_point": "run", "name": row.name,
        "profile": row.profile, "protocol": "serve" if row.serves else "run"} | ({"access": row.access} if row.access else {})
    write_entry(folder, program_text(row.file, pillow=bool(row.options.get("pillow"))), metadata)
    if row.white_box:
        shutil.copyfile(PROGRAMS / row.white_box, folder / "whitebox.py")
    (folder / "planted.txt").write_text("".join(f"{key}={value}\n" for key, value in bench.planted.items()), encoding="utf-8")
    return Source(str(folder), row.name)


def honest(folder: Path, name: str, track: Track, file: str, secret: str) -> Source:
    """An honest entry, with a secret in its code that no other entry may see."""
    metadata = {"type": track, "container": BASE_IMAGE, "entry_point": "run", "name": name, "team": secret}
    if track == DEFENSE.name:
        metadata["base"] = "base"
    write_entry(folder / name, f"{program_text(file)}# {secret}\n", metadata)
    if track == DEFENSE.name:
        # Open to all who may read it, where there are such; nothing of what they read holds the secret but `run`.
        (folder / name / "base").mkdir()
        for place in (folder / name, folder / name / "base"):
            shutil.copyfile(PROGRAMS / "white-box-behaves.py", place / "whitebox.py")
    return Source(str(folder / name), name)


def write_entry(folder: Path, program: str, metadata: Mapping[str, object]) -> None:
    """A directory of ``run``, ``kit.py`` and ``metadata.json``."""
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps(dict(metadata)), encoding="utf-8")
    (folder / "run").write_text(program, encoding="utf-8")
    (folder / "run").chmod(0o755)
    shutil.copyfile(PROGRAMS / "shared-kit.py", folder / "kit.py")

