"""kill -9 while programs are kept open (isolation: submission): the same tables, and no program outlives the harness."""

from __future__ import annotations

import random
import shutil
import subprocess
import time

from tests.e2e import make
from tests.e2e.conftest import Place, differences, eventually
from tests.helpers import stored
from tests.tournament.test_audit import BRIGHTER, COPY, HONEST, served_entry

KILLS = 5


def test_killed_while_programs_are_open(tmp_path) -> None:
    for name, kind, body in (("honest", "defense", HONEST), ("copy", "attack", COPY), ("brighter", "attack", BRIGHTER)):
        served_entry(tmp_path, name, kind, body)
    make.tournament(tmp_path, [], sandbox={"isolation": "submission", "memory": "1g"})
    place = Place(tmp_path, state_name="undisturbed")
    config = place.config.read_text()
    place.config.write_text(config.replace("state: state", "state: undisturbed"))
    began = time.monotonic()
    place.run()
    duration_s = time.monotonic() - began
    wanted, needed = place.tables(), sum(place.runs().values())
    place = Place(tmp_path)
    place.config.write_text(config)
    rng = random.Random(KILLS)
    kills = 0
    for _ in range(10 * KILLS):
        process = place.start("run")
        try:
            process.wait(rng.uniform(0.2, 0.9) * duration_s)
        except subprocess.TimeoutExpired:
            kills += 1
            process.kill()
        process.communicate(timeout=240)
        assert eventually(lambda: not place.processes()), place.processes()
        if kills == KILLS:
            break
        if process.returncode == 0:  # it came to its end between two kills: another one from the beginning
            shutil.rmtree(place.state)
    place.run()
    assert kills == KILLS
    assert differences(place.tables(), wanted) == []
    assert [run.done for run in stored.runs(place.state)] == [True] * needed
    assert place.leftovers() == []
