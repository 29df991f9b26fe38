"""An archived contest: its state directory on a file system that is mounted read-only, its commands at work on it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e import make
from tests.e2e.conftest import Place

pytestmark = pytest.mark.root

#: A directory with what a URI would take for its own.
ODD = "state%20 ?mode=rw#"


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """The contest, and the leaderboard that it had before its file system became read-only."""
    root = tmp_path_factory.mktemp("archived")
    make.tournament(root, ["attack-darken", "defense-mean"], images=10, state=ODD, rules={"max_epsilon": [8]})
    shutil.copytree(root / "entries" / "defense-mean", root / "new")
    (root / "new" / "notes.txt").write_text("other content")
    place = Place(root)
    assert place.harness("run").returncode == 0
    before = place.harness("leaderboard", "--format", "json").stdout
    subprocess.run(["mount", "--bind", root / ODD, root / ODD], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", root / ODD], check=True)
    yield place, before
    subprocess.run(["umount", root / ODD], check=True)


READ = {"leaderboard": ["leaderboard"], "status": ["status"], "show": ["show", "attack-darken"], "export": ["export", "out"],
        "submissions": ["submissions"], "matrix": ["matrix"], "logs": ["logs", "attack-darken"],
        "an entry that is there": ["submit", "entries/attack-darken"]}


@pytest.mark.parametrize("command", READ)
def test_it_can_be_read(archived: tuple[Place, str], command: str) -> None:
    ended = archived[0].harness(*READ[command])
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_its_tables_are_as_they_were(archived: tuple[Place, str]) -> None:
    place, before = archived
    assert json.loads(place.harness("leaderboard", "--format", "json").stdout) == json.loads(before)


WRITE = {"run": ["run"], "a new entry": ["submit", "new", "--name", "again"],
         "withdrawal": ["submissions", "--withdraw", "attack-darken"]}


@pytest.mark.parametrize("command", WRITE)
def test_it_cannot_be_changed(archived: tuple[Place, str], command: str) -> None:
    ended = archived[0].harness(*WRITE[command])
    assert ended.returncode == 2
    assert "make" in ended.stderr.lower()
    assert "writable" in ended.stderr
    assert "Traceback" not in ended.stderr
