"""`harness run` on three Ray nodes: the same tables, whatever happens to a node or to the head on the way."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter

import pytest

from tests.e2e.conftest import Place, differences, eventually, kill_group
from tests.helpers import stored

pytestmark = pytest.mark.alone  # one cluster is enough for two cores

SLOTS = 3
#: One that runs, one laid out, two on their way.
RUNS_OF_A_NODE = 4


@pytest.fixture
def far(make_place, ray_cluster) -> Place:
    return make_place(workers={"engine": "ray", "address": ray_cluster.address, "slots": 1})


def twice(place: Place) -> Counter[str]:
    """Runs of each submission that were tried more than once."""
    return Counter(run.name for run in stored.runs(place.state) if run.attempt > 1)


def test_the_tables_are_those_of_one_machine(finished, far) -> None:
    done = far.run("--trace", "trace.json")
    assert "(raylet)" not in done.stdout + done.stderr
    assert differences(far.tables(), finished[1]) == []
    assert far.started() == finished[0].first_started
    assert not twice(far)
    assert far.leftovers() == []
    used, described = stored.slots(far.state)
    assert len({str(slot).partition("/")[0] for slot in used}) == SLOTS
    assert described >= used
    events = json.loads((far.root / "trace.json").read_text())["traceEvents"]
    machines = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert set(machines.values()) == {str(slot).partition("/")[0] for slot in used}
    runs = [event for event in events if event["ph"] == "X" and event["cat"] == "run"]
    assert sorted(event["args"]["run"] for event in runs) == sorted(run.id for run in stored.runs(far.state))


@pytest.mark.docker
def test_containers_on_several_nodes(finished, make_place, ray_cluster) -> None:
    place = make_place(workers={"engine": "ray", "address": ray_cluster.address, "slots": 1}, sandbox={"backend": "docker"})
    place.run()
    assert differences(place.tables(), finished[1]) == []
    assert place.leftovers() == []
    left = subprocess.run(["docker", "ps", "-aq", "--filter", f"label=harness.tournament=tiny@{place.state}"], check=True,
                          capture_output=True, text=True)
    assert left.stdout == ""


def test_a_lost_node_costs_what_it_was_running(finished, far, ray_cluster) -> None:
    process = far.start("run")
    far.until(lambda: far.done() >= 5, process)
    # The head stands meanwhile: the round is short, and could be over before the node is gone.
    process.send_signal(signal.SIGSTOP)
    ray_cluster.remove(0)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    assert differences(far.tables(), finished[1]) == []
    assert twice(far).total() <= RUNS_OF_A_NODE
    log = (far.state / "harness.log").read_text()
    assert "A node was lost." in log
    # What it had half written goes with the next call.
    far.run()
    assert far.leftovers() == []


def test_a_killed_head_costs_what_was_in_flight(finished, far) -> None:
    process = far.start("run")
    far.until(lambda: far.done() >= 5, process)
    kill_group(process)
    before = far.done()
    done = far.run()
    assert before >= 5
    assert "made" not in done.stdout
    assert differences(far.tables(), finished[1]) == []
    assert twice(far).total() <= SLOTS * RUNS_OF_A_NODE
    assert eventually(lambda: far.leftovers() == [])


def test_ctrl_c_ends_what_runs_and_the_next_call_goes_on(finished, far) -> None:
    process = far.start("run")
    far.until(lambda: far.done() >= 3, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    assert far.leftovers() == []
    far.run()
    assert differences(far.tables(), finished[1]) == []


def test_a_cluster_that_is_not_there_is_a_sentence(make_place, ray_cluster) -> None:
    del ray_cluster
    place = make_place(workers={"engine": "ray", "address": "127.0.0.1:1"})
    ended = place.harness("run")
    assert ended.returncode == 2
    assert "The Ray cluster 127.0.0.1:1 cannot be joined" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert place.started() == 0
