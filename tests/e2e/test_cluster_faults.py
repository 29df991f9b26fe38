"""Faults of machines, of Ray and of the store on three Ray nodes: undisturbed tables, nothing twice but what was in flight.

HARNESS_SOAK=20, as ``make soak`` sets it, asks for so many nodes and harnesses killed at random moments.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests import ray_cluster as clusters
from tests.e2e.conftest import Place, differences
from tests.e2e.test_kill import Campaign
from tests.helpers import stored
from tests.ray_cluster import RayCluster

pytestmark = pytest.mark.alone  # one cluster is enough for two cores

KILLS = int(os.environ.get("HARNESS_SOAK", "") or "0")
SLOTS = 3
#: One that runs, one laid out, two on their way.
RUNS_OF_A_NODE = 4
#: Of requests to the object store, in the soak.
FAILING = 0.1


@pytest.fixture
def far(make_place, ray_cluster) -> Place:
    return make_place(workers={"engine": "ray", "address": ray_cluster.address, "slots": 1})


def logged(place: Place, message: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (place.state / "harness.log").read_text().splitlines()]
    return [line for line in lines if line["message"] == message]


def again(place: Place) -> int:
    """Attempts beyond the first."""
    return sum(run.attempt - 1 for run in stored.runs(place.state))


def reached(place: Place, runs: int) -> bool:
    return place.done() >= runs


def lost(place: Place) -> int:
    """Runs that went with their nodes."""
    return sum(line["runs"] for line in logged(place, "A node was lost."))


def check(place: Place, wanted: tuple[Place, dict[str, Any]]) -> None:
    assert differences(place.tables(), wanted[1]) == []
    assert place.runs() == wanted[0].runs()
    # What a killed node had half written goes with the next call.
    assert "Nothing new to run" in place.run().stderr
    assert place.leftovers() == []


def test_a_node_that_is_lost_while_it_uploads(finished, make_place, ray_cluster, object_server) -> None:
    place = make_place(workers={"engine": "ray", "address": ray_cluster.address, "slots": 1},
                       store={"artifacts": object_server.place()})
    first = threading.Lock()
    killed: list[str] = []

    def watch(environ: dict[str, Any]) -> None:
        # Several uploads may come at once: the first one's node is it.
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith(".pert") and first.acquire(blocking=False):
            killed.append(ray_cluster.remove(uploading(ray_cluster, int(environ["REMOTE_PORT"]))))

    object_server.watch = watch
    place.run()
    assert len(killed) == len(logged(place, "A node was lost.")) == 1
    assert 1 <= again(place) == lost(place) <= RUNS_OF_A_NODE
    check(place, finished)


def uploading(cluster: RayCluster, port: int) -> int:
    """The node whose request comes from that port."""
    for number in range(len(cluster.nodes)):
        for process in cluster.process(number).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # programs come and go
                if any(connection.laddr.port == port for connection in process.net_connections("tcp")):
                    return number
    raise AssertionError(port)


@pytest.mark.root
def test_a_node_whose_disk_is_full(finished, far, ray_cluster, tmp_path) -> None:
    ray_cluster.remove(0)
    with full_disk(tmp_path / "full") as scratch:
        ray_cluster.add(str(scratch))
        try:
            done = far.run()
        finally:
            ray_cluster.remove(len(ray_cluster.nodes) - 1)
    failed = logged(far, "A run failed on the host's side and is not scored.")
    assert failed
    assert all("No space left" in line["reason"] or "is full" in line["reason"] for line in failed), failed
    assert len({line["slot"] for line in failed}) == 1
    assert again(far) == len(failed)
    assert "given up" not in done.stderr
    check(far, finished)


@contextlib.contextmanager
def full_disk(root: Path) -> Iterator[Path]:
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", str(root)], check=True)
    try:
        # A directory where nothing at all can be written would be found out at the start, and another one taken.
        (root / "filler").write_bytes(bytes(60 << 10))
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


@pytest.mark.soak
def test_nodes_killed_at_random_moments(make_place, ray_cluster) -> None:
    random_ = random.Random(KILLS)
    undisturbed = make_place(name="undisturbed", images=60)
    undisturbed.run()
    wanted, needed = (undisturbed, undisturbed.tables()), sum(undisturbed.runs().values())
    kills = rounds = repeated = 0
    while kills < KILLS:
        rounds += 1
        place = make_place(name=f"t{rounds}", images=60,
                           workers={"engine": "ray", "address": ray_cluster.address, "slots": 1})
        process = place.start("run")
        for moment in sorted(random_.sample(range(1, needed - 8), 2)):
            place.until(partial(reached, place, moment), process)
            ray_cluster.remove(random_.randrange(len(ray_cluster.nodes)))
            kills += 1
            ray_cluster.fill()
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert again(place) == lost(place) <= 2 * RUNS_OF_A_NODE
        assert place.started() <= needed + again(place)
        repeated += again(place)
        check(place, wanted)
    print(f"{kills} nodes killed in {rounds} rounds of {needed} runs; {repeated} runs made again, all of them in flight")  # noqa: T201


@pytest.mark.soak
def test_all_nodes_are_lost(finished, far, ray_cluster) -> None:
    process = far.start("run")
    far.until(lambda: far.done() >= SLOTS, process)
    # The head stands meanwhile: it learns of all of them at once.
    process.send_signal(signal.SIGSTOP)
    while ray_cluster.nodes:
        ray_cluster.remove(0)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=240)
    assert (process.returncode, "No machine is left: " in err, "Traceback" in err) == (2, True, False), err
    assert "`harness run` again; nothing recorded is lost." in err
    # As long as there is none, the next call says so.
    nobody = far.harness("run")
    assert (nobody.returncode, "no machine of it has CPUs for runs" in nobody.stderr) == (2, True), nobody.stderr
    ray_cluster.fill()
    far.run()
    assert again(far) <= SLOTS * RUNS_OF_A_NODE
    check(far, finished)


@pytest.mark.soak
def test_harnesses_killed_at_random_moments(finished, far) -> None:
    campaign = Campaign(far, finished[1], sum(finished[0].runs().values()), ahead=SLOTS * RUNS_OF_A_NODE)
    random_ = random.Random(KILLS)
    while campaign.kills < KILLS:
        campaign.kill_after(random_.uniform(0.1, 1.2) * campaign.duration_s)
    campaign.finish()
    print(f"{campaign.kills} harnesses killed, {campaign.finished} rounds finished, "  # noqa: T201
          f"{len(campaign.in_flight)} runs in flight at the kills of the last")


@pytest.mark.soak
def test_rays_own_head_is_lost(make_place) -> None:
    undisturbed, place = (make_place(name=name, images=120) for name in ("undisturbed", "far"))
    undisturbed.run()
    told = yaml.safe_load(place.config.read_text())

    def on(cluster: RayCluster) -> None:
        told["workers"] |= {"engine": "ray", "address": cluster.address, "slots": 1}
        place.config.write_text(yaml.safe_dump(told))

    with clusters.running({}) as first:
        on(first)
        process = place.start("run", code="import harness.engine.ray_engine as e; e._HEAD_LOST_S = 1.0; e._LOOK_EVERY_S = 0.5\n"
                              "from harness.cli.main import main; main()")
        place.until(lambda: place.done() >= SLOTS, process)
        first.lose_head()
        _, err = process.communicate(timeout=240)
    assert (process.returncode, "no longer answers" in err) == (2, True), err
    assert "Traceback" not in err
    done = place.done()
    assert done < sum(undisturbed.runs().values())
    with clusters.running({}) as second:
        on(second)
        place.run()
        assert again(place) <= SLOTS * RUNS_OF_A_NODE
        check(place, (undisturbed, undisturbed.tables()))
    print(f"Ray's head lost after {done} runs; {again(place)} runs made again")  # noqa: T201


@pytest.mark.soak
def test_a_store_that_fails_one_request_in_ten(finished, make_place, ray_cluster, object_server) -> None:
    random_ = random.Random(KILLS)
    failed = []

    def watch(environ: dict[str, Any]) -> str | None:
        if "/contest/" not in environ["PATH_INFO"] or random_.random() > FAILING:
            return None
        failed.append(environ["REQUEST_METHOD"])
        return random_.choice(["500 Internal Server Error", "503 Slow Down",
                               "409 Conflict" if environ["REQUEST_METHOD"] == "PUT" else "502 Bad Gateway"])

    object_server.watch = watch
    for number in range(max(1, KILLS // 5)):
        place = make_place(name=f"t{number}", store={"artifacts": object_server.place(f"contest/{number}")},
                           workers={"engine": "ray", "address": ray_cluster.address, "slots": 1})
        began = time.monotonic()
        place.run()
        assert again(place) == len(logged(place, "A run failed on the host's side and is not scored."))
        check(place, finished)
        print(f"{len(failed)} failed requests so far, {again(place)} runs made again, "  # noqa: T201
              f"{time.monotonic() - began:.0f} s")
