"""Coverage-guided fuzzing of one reader with atheris: `make fuzz` for all, or `python -m tests.fuzz.fuzz TARGET RUNS`.

A crash is written to tests/fuzz/corpus/TARGET/crash-*; fix the reader and leave the file there: the tests replay it for ever.
Inputs that find new paths are kept in .cache/fuzz/TARGET between calls.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["harness", "PIL", "csv", "json", "tarfile", "zipfile"]):
    from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent


def main() -> None:
    name, runs = sys.argv[1], sys.argv[2]
    target = TARGETS[name]
    found = Path(".cache/fuzz") / name
    found.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (found / f"seed-{number}").write_bytes(seed)
    crashes = HERE / "corpus" / name
    crashes.mkdir(parents=True, exist_ok=True)
    atheris.Setup(["fuzz", str(found), f"-runs={runs}", "-max_len=4096", "-rss_limit_mb=4096", "-timeout=30",
                   f"-artifact_prefix={crashes}/"], target.read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
