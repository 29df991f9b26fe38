"""The real command as a subprocess, and what must be true of the host when it has ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e import make
from tests.helpers import stored

ROOT = Path(__file__).resolve().parents[2]
#: For a child to be gone, a file to appear: long, because the machine may be loaded, and nobody waits for it in vain.
PATIENCE_S = 60.0


def eventually(what: Callable[[], object], patience_s: float = PATIENCE_S) -> bool:
    until = time.monotonic() + patience_s
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


#: Commands started by the test that runs now.
_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_command_outlives_its_test() -> Iterator[None]:
    """A test that fails in the middle leaves no command behind for the tests that follow to trip over."""
    yield
    while _started:
        with _started.pop() as process:
            process.kill()


@dataclass
class Place:
    """A tournament on disk and the command that works on it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    state_name: str = "state"
    #: Programs started by the first run; tests that copy the place start more.
    first_started: int = 0

    @property
    def config(self) -> Path:
        return self.root / "tournament.yaml"

    @property
    def state(self) -> Path:
        return self.root / self.state_name

    @property
    def tally(self) -> Path:
        return self.root / "tally"

    def environment(self, **extra: str) -> dict[str, str]:
        scratch = self.root / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1", **self.env, **extra}

    def start(self, *args: str, code: str = "from harness.cli.main import main; main()", **env: str) -> subprocess.Popen[str]:
        """The command in the background; ``code`` instead of its entry point, to inject a fault first."""
        process = subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   cwd=self.root, env=self.environment(**env), start_new_session=True)
        _started.append(process)
        return process

    def harness(self, *args: str, timeout_s: float = 240, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*args, **env)
        out, err = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def run(self, *args: str, **env: Any) -> subprocess.CompletedProcess[str]:
        """`harness run` to a good end."""
        done = self.harness("run", *args, **env)
        assert done.returncode == 0, done.stderr
        return done

    def tables(self) -> dict[str, Any]:
        """The matrix and the leaderboard without times: what must be equal whatever happened on the way."""
        matrix = self.harness("matrix", "--format", "json")
        assert matrix.returncode == 0, matrix.stderr
        board = json.loads(self.harness("leaderboard", "--format", "json").stdout)
        for rows in board["tracks"].values():
            for row in rows:
                del row["median_time_s"]
            rows.sort(key=lambda row: row["name"])
        return {"matrix": json.loads(matrix.stdout), "leaderboard": board}

    def runs(self) -> dict[str, int]:
        """Runs by submission that have a result."""
        return dict(Counter(run.name for run in stored.runs(self.state) if run.done))

    def versions(self, name: str) -> list[tuple[int, str]]:
        """Number and state of every version of a submission."""
        return [(found.version, found.state) for found in stored.submissions(self.state) if found.name == name]

    def started(self) -> int:
        """Programs that were started, by their own account."""
        return len(self.tally.read_text().splitlines()) if self.tally.exists() else 0

    def processes(self) -> list[psutil.Process]:
        """Whatever of this tournament still lives."""
        mine = str(self.root)
        found = []
        for process in psutil.process_iter():
            try:
                about = [process.cwd(), *process.cmdline(), process.environ().get("TMPDIR", "")]
                ended = process.status() == psutil.STATUS_ZOMBIE
            except (psutil.Error, OSError):
                continue  # gone while we looked
            if process.pid != os.getpid() and not ended and any(mine in text for text in about):
                found.append(process)
        return found

    def mounts(self) -> list[str]:
        """Mount points below this tournament."""
        return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.root) in line
                and line.split()[4] != str(self.state)]

    def leftovers(self) -> list[str]:
        """What an ended command must not leave: processes, mounts, private directories, half-written files."""
        eventually(lambda: not self.processes(), 20)
        left = [f"process {p.pid}" for p in self.processes()] + self.mounts()
        left += [str(p) for p in (self.root / "tmp").glob("harness-*")]
        left += [str(p) for p in self.state.rglob("*.tmp")]
        left += [str(p) for p in (self.state / "submissions").glob(".*")]
        left += [str(p) for p in (self.state / "work").rglob("*")]
        return left

    def until(self, what: Callable[[], object], process: subprocess.Popen[str]) -> None:
        """Wait for something that a running command does."""
        assert eventually(lambda: what() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]

    def done(self) -> int:
        """Runs that have a result; 0 while there is no database."""
        return stored.done(self.state)


def kill_group(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture
def place(tmp_path) -> Place:
    """An honest tournament of seconds, not run yet."""
    found = Place(tmp_path)
    make.tournament(tmp_path, tally=found.tally)
    return found


@pytest.fixture
def make_place(tmp_path) -> Callable[..., Place]:
    """A tournament of the programs that the test names."""
    def made(programs: Sequence[str] = make.HONEST, name: str = "t", **fields: Any) -> Place:
        found = Place(tmp_path / name)
        make.tournament(found.root, programs, tally=found.tally, **fields)
        return found

    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Place, dict[str, Any]]:
    """The honest tournament of ``place``, run without a disturbance, and its tables."""
    found = Place(tmp_path_factory.mktemp("undisturbed"))
    make.tournament(found.root, tally=found.tally)
    found.run()
    found.first_started = found.started()
    return found, found.tables()


@pytest.fixture
def copy_of_finished(finished, tmp_path) -> Callable[[], Place]:
    """A copy of the tournament of ``finished``, for a test that changes files or only needs one that has results."""
    def made() -> Place:
        return Place(shutil.copytree(finished[0].root, tmp_path / "copy"))

    return made


def differences(found: object, wanted: object, where: str = "") -> list[str]:
    """Where two tables differ, one line each."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [line for key in {**found, **wanted} for line in differences(found.get(key), wanted.get(key), f"{where}.{key}")]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [line for i, pair in enumerate(zip(found, wanted, strict=True)) for line in differences(*pair, f"{where}[{i}]")]
    return [] if found == wanted else [f"{where}: {found!r}, wanted {wanted!r}"]
