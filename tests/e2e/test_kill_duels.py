"""kill -9 in the middle of duels: the same results, and nothing that a lost attempt had counted."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time

from tests.e2e.conftest import Place, eventually
from tests.e2e.duels import found, write
from tests.helpers import stored

KILLS = ("prepared:3", "performed:2", "collected:4", "in-commit:3", "after-commit:2", "asked:2", "asked:5")
#: At random moments, behind those; HARNESS_KILLS asks for another number, as in ``test_kill``.
RANDOM = int(os.environ.get("HARNESS_KILLS", "4"))


def killed(place: Place, point: str = "", after_s: float | None = None) -> bool:
    """Begin or go on, and kill at a named point or moment; whether that was before the end."""
    process = place.start("run", **({"HARNESS_TEST_KILL_AT": point} if point else {}))
    try:
        _, err = process.communicate(timeout=after_s or 240)
    except subprocess.TimeoutExpired:
        process.kill()
        _, err = process.communicate(timeout=240)
    if process.returncode == 0:
        shutil.rmtree(place.state)
        return False
    assert process.returncode == -signal.SIGKILL, err
    assert eventually(lambda: not place.processes()), place.processes()
    return True


def test_duels_that_are_killed_at_every_point(tmp_path) -> None:
    place = write(Place(tmp_path))
    began = time.monotonic()
    place.run()
    took_s = time.monotonic() - began
    wanted, needed = found(place), len(stored.runs(place.state))
    shutil.rmtree(place.state)
    for point in KILLS:
        killed(place, point)
    generator = random.Random(11)
    kills = sum(killed(place, after_s=generator.uniform(0.2, 0.8) * took_s) for _ in range(RANDOM))
    assert kills >= RANDOM // 4
    place.run()
    assert found(place) == wanted
    assert [run.done for run in stored.runs(place.state)] == [True] * needed
    assert place.leftovers() == []
