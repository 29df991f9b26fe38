"""How long a person waits for the command line: `--help`, `leaderboard`, and `run` with nothing new on a demo-size tournament.

The tournament has the default one's size (20 attacks, 16 defenses, 4 batches of 100 images of 32x32) with programs that do
nothing, so that this runs anywhere; `--config FILE` takes a real, finished tournament instead. The floor is a Python that does
nothing. `--imports` lists what the slowest imports are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import REPOSITORY, command_seconds, load, machine, stage, table, verdict
from benchmarks.synthetic import Size, make_tournament

DEMO = Size(attacks=20, defenses=16, batches=4)
HARNESS = [sys.executable, "-m", "harness.cli.main"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="A finished tournament to use.")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--imports", action="store_true")
    options = parser.parse_args()
    print(f"Start-up, seconds of {options.repeats} starts. {machine()}.\n")
    with tempfile.TemporaryDirectory(prefix="startup-") as directory:
        config = options.config or _make(Path(directory))
        print(table(["command", "median", "best", "of processor", "target", ""], rows(config.resolve(), options.repeats)))
    print(f"\nAt the end: {load()}.")
    if options.imports:
        for verb in ("--help", "leaderboard"):
            print(f"\nSlowest imports of `harness {verb}` (cumulative ms, module):\n{slowest_imports(verb)}")


def _make(root: Path) -> Path:
    config = make_tournament(root, DEMO)
    stage("contest_size", "register", root=root)
    stage("contest_size", "run", root=root)
    return config


def rows(config: Path, repeats: int) -> list[list[object]]:
    """One line for each command, floors first."""
    where = ["--config", str(config)]
    commands = [
        ("python -c pass", [sys.executable, "-c", "pass"], None),
        ("python -c 'import numpy, sqlalchemy.orm, pydantic'", [sys.executable, "-c", "import numpy,sqlalchemy.orm,pydantic"],
         None),
        ("harness --help", [*HARNESS, "--help"], 0.3),
        ("harness leaderboard", [*HARNESS, "leaderboard", *where], 0.6),
        ("harness leaderboard --format json", [*HARNESS, "leaderboard", "--format", "json", *where], 0.6),
        ("harness status", [*HARNESS, "status", *where], None),
        ("harness run, nothing new", [*HARNESS, "run", *where], 1.0),
    ]
    found: list[list[object]] = []
    for name, arguments, target in commands:
        seconds, best, processor = command_seconds(arguments, config.parent, repeats)
        wanted = "floor" if name.startswith("python") else "" if target is None else f"<= {target:g}"
        found.append([name, seconds, best, processor, wanted, "" if target is None else verdict(seconds, target)])
    return found


def slowest_imports(verb: str, count: int = 12) -> str:
    """What Python's own import timer says."""
    program = "import sys; sys.argv = ['harness', %r]; from harness.cli.main import main; main()" % verb  # noqa: UP031
    if verb != "--help":
        program = "import harness.tournament.leaderboard_cache, harness.report.show, harness.report.terminal.leaderboard"
    ended = subprocess.run([sys.executable, "-X", "importtime", "-c", program], check=False, capture_output=True, text=True,
                           cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    prefix = "import time:"
    lines = [line.removeprefix(prefix).split("|") for line in ended.stderr.splitlines() if line.startswith(prefix)]
    timed = sorted(((int(cells[1]), cells[2].strip()) for cells in lines[1:]), reverse=True)
    return "\n".join(f"{microseconds / 1000:8.1f}  {name}" for microseconds, name in timed[:count])


if __name__ == "__main__":
    main()
