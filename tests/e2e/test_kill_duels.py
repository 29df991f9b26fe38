"""kill -9 in the middle of duels: the same results, and nothing that a lost attempt had counted."""

from __future__ import annotations

import shutil
import signal

from harness.config import load
from harness.tournament.results import load_results
from harness.tournament.tournament import Tournament
from tests.e2e import make
from tests.e2e.conftest import Place, eventually
from tests.helpers import stored

SERVED = {"protocol": "serve"}
KILLS = ("prepared:3", "performed:2", "collected:4", "in-commit:3", "after-commit:2", "asked:2", "asked:5")


def found(place: Place) -> list[object]:
    with Tournament(load(place.config)) as tournament:
        results = load_results(tournament, tournament.dataset())
    assert (results.runs.done, results.runs.failed) == (results.runs.total, 0)
    return [results.verdicts.planes.tolist()] + [
        (duels.access, duels.done.tolist(), duels.codes.tolist(), duels.counted.tolist(),
         None if duels.queries is None else sorted(duels.queries.charged.ravel().tolist())) for duels in results.duels]


def test_duels_that_are_killed_at_every_point(tmp_path) -> None:
    make.tournament(tmp_path, ("attack-darken",), images=10, rules={
        "max_epsilon": [16], "access": ["query", "white_box"], "query": {"budget": 8}})
    make.entry(tmp_path / "entries" / "asks", "attack-asks", metadata=SERVED | {"access": "query"})
    make.entry(tmp_path / "entries" / "reads", "attack-reads", metadata={"access": "white_box"})
    make.entry(tmp_path / "entries" / "serves", "defense-serves", metadata=SERVED)
    (tmp_path / "entries" / "serves" / "whitebox.py").write_text("# brighter")
    place = Place(tmp_path)
    place.run()
    wanted, needed = found(place), len(stored.runs(place.state))
    shutil.rmtree(place.state)
    for point in KILLS:
        process = place.start("run", HARNESS_TEST_KILL_AT=point)
        _, err = process.communicate(timeout=240)
        if process.returncode == 0:  # nothing was left to be killed in
            shutil.rmtree(place.state)
            continue
        assert process.returncode == -signal.SIGKILL, err
        assert eventually(lambda: not place.processes()), place.processes()
    place.run()
    assert found(place) == wanted
    assert [run.done for run in stored.runs(place.state)] == [True] * needed
    assert place.leftovers() == []
