"""A tiny data set and a tournament of tiny entries, written as files.

Class c is an image of grey level 12 + 25 c with a texture of its own, so that a defense can label by mean brightness and an
attack of 16 of 255 can move some images over to the next class.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from harness.dataset.digest import Record, dataset_digest
from harness.formats.png import encode_png

ENTRIES = Path(__file__).parent / "entries"
SIZE = (8, 8)
IMAGE = "localhost/harness-light:1"
HEAD = "#!/usr/bin/env -S python3 -IS\n"
PRELUDE = "import sys, os, time\nsys.path.insert(0, os.getcwd())\nimport pixels as px\npx.count()\n"

#: Name to (type, program). Each sees sys.argv as in RULES.md, section 1, and `px`, the module pixels.py.
PROGRAMS: dict[str, tuple[str, str]] = {
    path.stem: (path.stem.split("-")[0].replace("targeted", "targeted_attack"), path.read_text())
    for path in sorted(ENTRIES.glob("*-*.py"))
}

HONEST = ("attack-copy", "attack-noise", "attack-darken", "targeted-step", "defense-mean", "defense-centre")


def records(count: int = 30) -> list[Record]:
    made = []
    for index in range(count):
        label = (index * 7) % 10
        seed = hashlib.sha256(f"image {index}".encode()).digest()
        texture = np.frombuffer(seed * 6, np.uint8)[: SIZE[0] * SIZE[1] * 3].reshape(*SIZE, 3) % 7
        pixels = (9 + 25 * label + texture).astype(np.uint8)
        made.append(Record(f"img-{index:03d}", label, (label + 1 + index % 3) % 10, pixels))
    return made


def dataset(root: Path, count: int = 30) -> Path:
    made = records(count)
    (root / "images").mkdir(parents=True)
    for record in made:
        (root / "images" / f"{record.image_id}.png").write_bytes(encode_png(record.pixels))
    lines = [f"{r.image_id},{r.label},{r.target}" for r in made]
    (root / "metadata.csv").write_text("\n".join(["ImageId,TrueLabel,TargetClass", *lines]) + "\n")
    described = {"name": "tiny", "digest": dataset_digest((0, 9), SIZE, made), "label_low": 0, "label_high": 9,
                 "width": SIZE[0], "height": SIZE[1]}
    (root / "dataset.yaml").write_text(yaml.safe_dump(described))
    return root


def entry(folder: Path, program: str, *, tally: Path | None = None, note: str = "",
          metadata: Mapping[str, Any] | None = None) -> Path:
    """Write an entry into ``folder``; a ``note`` changes its content and nothing else."""
    kind, body = PROGRAMS[program]
    folder.mkdir(parents=True)
    facts = {"type": kind, "container": IMAGE, "entry_point": "run", "name": folder.name, **(metadata or {})}
    (folder / "metadata.json").write_text(json.dumps(facts))
    (folder / "run").write_text(HEAD + PRELUDE + body + (f"# {note}\n" if note else ""))
    (folder / "run").chmod(0o755)
    shutil.copyfile(ENTRIES / "pixels.py", folder / "pixels.py")
    if tally is not None:
        (folder / "tally.txt").write_text(str(tally))
    return folder


def tournament(root: Path, programs: Sequence[str] = HONEST, *, images: int = 30, tally: Path | None = None,
               **fields: Mapping[str, Any] | object) -> Path:
    """Data set, entries and ``tournament.yaml`` below ``root``; further fields are merged into the file's."""
    dataset(root / "data", images)
    for program in programs:
        entry(root / "entries" / program, program, tally=tally)
    config: dict[str, Any] = {
        "name": "tiny", "dataset": "data", "submissions": ["entries/*"],
        "rules": {"batch_size": 10, "max_epsilon": [8, 16, 32], "time_limit_s": 60},
        "sandbox": {"backend": "process", "memory": "256m", "shm": "16m", "tmp": "16m", "output": "4m"},
        "workers": {"slots": 2, "gpus": "none"}, "state": "state"}
    for name, value in fields.items():
        known = config.get(name)
        config[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, Mapping) else value
    path = root / "tournament.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
