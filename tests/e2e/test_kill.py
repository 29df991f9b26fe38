"""kill -9 at any moment, then `harness run` again: the same tables, nothing twice but what was in flight, nothing left behind.

HARNESS_KILLS=200 asks for 200 kills at random moments beside those at every named point; the default is a short form.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from typing import Any

import pytest

from harness.errors import StoreError
from harness.faults import POINTS
from tests.e2e import make
from tests.e2e.conftest import Place, differences, eventually
from tests.helpers import stored

#: At random moments, beside those at named points: together more than 30.
KILLS = int(os.environ.get("HARNESS_KILLS", "16"))
#: Slots, and as many jobs laid out ahead: what can be started and not on record at one kill.
AHEAD = 2 * 2
#: But for that of duels (``test_kill_duels``).
NAMED = [f"{point}:{times}" for times in (1, 4) for point in POINTS if point != "asked"
         and (times == 1 or point not in ("swept", "ending"))]


class Campaign:
    """Kills one tournament after another until there were enough kills."""

    def __init__(self, place: Place, wanted: dict[str, Any], needed: int, ahead: int = AHEAD) -> None:
        self.place, self.wanted, self.needed, self.ahead = place, wanted, needed, ahead
        self.kills = self.finished = 0
        self.duration_s = 2.0
        self._begin()

    def _begin(self) -> None:
        shutil.rmtree(self.place.state, ignore_errors=True)
        self.place.tally.write_text("")
        self.in_flight: set[tuple[int, int]] = set()
        self.kills_here = 0

    def kill_at(self, point: str) -> bool:
        """Kill at a named point; whether it was reached."""
        return self._killed(self.place.start("run", HARNESS_TEST_KILL_AT=point))

    def kill_after(self, seconds: float) -> bool:
        process = self.place.start("run")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return self._killed(process)

    def _killed(self, process: subprocess.Popen[str]) -> bool:
        began = time.monotonic()
        _, err = process.communicate(timeout=240)
        if process.returncode == 0:
            self.duration_s = max(1.0, time.monotonic() - began)
            self.check()
            self._begin()
            return False
        assert process.returncode == -signal.SIGKILL, err
        self.kills += 1
        self.kills_here += 1
        assert eventually(lambda: not self.place.processes()), self.place.processes()
        with contextlib.suppress(StoreError):  # killed before there was a database, or a table in it
            self.in_flight |= {(run.id, run.attempt) for run in stored.runs(self.place.state) if run.running}
        return True

    def finish(self) -> None:
        self.place.run()
        self.check()

    def check(self) -> None:
        """What must be true of a tournament that was killed again and again."""
        self.finished += 1
        assert differences(self.place.tables(), self.wanted) == []
        runs = stored.runs(self.place.state)
        assert all(run.done for run in runs)
        assert len(runs) == self.needed
        assert sum(run.attempt for run in runs) == self.needed + len(self.in_flight)
        started = self.place.started()
        assert self.needed <= started <= self.needed + len(self.in_flight) + self.ahead * self.kills_here
        assert self.place.leftovers() == []
        assert "Nothing new to run" in self.place.run().stderr


def test_killed_at_named_points_and_at_random_ones(make_place) -> None:
    undisturbed, place = (make_place((*make.HONEST, "detector-level"), name=name) for name in ("undisturbed", "killed"))
    undisturbed.run()
    runs = undisturbed.runs()
    # Two halves a batch of what was changed: one attack changes nothing, two make the same pixels.
    assert runs["detector-level"] == 3 * 2 * 2
    campaign = Campaign(place, undisturbed.tables(), sum(runs.values()))
    for point in NAMED:
        # A point that what is left of the tournament does not reach is tried in a new one.
        assert campaign.kill_at(point) or campaign.kill_at(point), point
    rng = random.Random(KILLS)
    while campaign.kills < len(NAMED) + KILLS:
        campaign.kill_after(rng.uniform(0.1, 1.2) * campaign.duration_s)
    campaign.finish()
    print(f"{campaign.kills} kills ({len(NAMED)} at named points), {campaign.finished} tournaments finished")  # noqa: T201


def test_every_named_point_is_in_the_code() -> None:
    import harness

    text = "".join(path.read_text() for path in make.ENTRIES.parents[2].joinpath("harness").rglob("*.py"))
    assert harness.__version__
    assert [point for point in POINTS if f'reach("{point}")' not in text] == []


@pytest.mark.docker
@pytest.mark.slow
def test_killed_while_containers_run(make_place, docker_client, light_image) -> None:
    assert light_image == make.IMAGE
    place = make_place(("attack-darken", "attack-pause", "defense-mean"), sandbox={"backend": "docker"})
    place.run()
    wanted, needed = place.tables(), sum(place.runs().values())
    assert wanted["leaderboard"]["runs"]["failed"] == 0
    campaign = Campaign(place, wanted, needed)
    label = f"harness.tournament=tiny@{place.state}"
    for point in ("prepared:3", "performed:2", "in-commit:5"):
        assert campaign.kill_at(point)
    # A program that sleeps is in its container when the harness is killed: the container lives on, until the next run.
    process = place.start("run")
    place.until(lambda: docker_client.containers.list(ignore_removed=True, filters={"label": label}), process)
    process.kill()
    assert campaign._killed(process)
    again = place.run()
    assert "Removed leftovers of an earlier harness: container" in again.stderr
    assert differences(place.tables(), wanted) == []
    assert docker_client.containers.list(all=True, ignore_removed=True, filters={"label": label}) == []
    assert place.leftovers() == []
