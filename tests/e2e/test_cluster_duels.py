"""A round of duels and detectors on three Ray nodes, over a directory and over an object store that fails now and then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Place, differences
from tests.e2e.duels import found, tables, write
from tests.helpers import stored

pytestmark = pytest.mark.alone  # one cluster is enough for two cores

PROGRAMS = ("attack-darken", "detector-level", "defense-mean")
FAULTS = [("GET", "503 Slow Down"), ("PUT", "409 Conflict"), ("PUT", "500 Internal Server Error"), ("GET", "500 Server Error")]


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> tuple[Place, list[object]]:
    """On this machine."""
    place = write(Place(tmp_path_factory.mktemp("here")), PROGRAMS)
    place.run()
    return place, found(place)


@pytest.mark.parametrize("isolation", ["run", "submission"])
def test_the_tables_are_those_of_one_machine(here, tmp_path, ray_cluster, object_server, isolation) -> None:
    over_objects = isolation == "submission"
    store: dict[str, Any] = {"store": {"artifacts": object_server.place()}} if over_objects else {}
    place = write(Place(tmp_path / "far"), PROGRAMS, workers={"engine": "ray", "address": ray_cluster.address, "slots": 1},
                  sandbox={"isolation": isolation}, **store)
    object_server.faults = list(FAULTS) if over_objects else []
    place.run()
    assert object_server.faults == []
    assert differences(found(place), here[1]) == []
    assert differences(tables(place), tables(here[0])) == []
    assert not [run for run in stored.runs(place.state) if run.attempt > 1]
    assert (place.state / "artifacts").exists() is not over_objects
    assert place.leftovers() == []
    assert len({str(slot).partition("/")[0] for slot in stored.slots(place.state)[0]}) == len(ray_cluster.nodes)
