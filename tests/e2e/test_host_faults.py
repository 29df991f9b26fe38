"""Faults of the host, injected for real. After each: `harness run` again gives the tables of an undisturbed run, and says in
words what happened.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import make
from tests.e2e.conftest import Place, differences, eventually
from tests.e2e.test_bad_input import mounted
from tests.helpers import stored

MAIN = "from harness.cli.main import main; main()"
#: Honest entries, two of which take a while.
SLOW = ("attack-darken", "attack-pause", "attack-noise", "defense-mean", "defense-pause")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, Any]:
    """Tables of a tournament of ``SLOW`` to which nothing happened."""
    place = Place(tmp_path_factory.mktemp("slow"))
    make.tournament(place.root, SLOW)
    place.run()
    return place.tables()


@pytest.fixture
def slow(make_place) -> Place:
    return make_place(SLOW)


def artifacts(place: Place) -> list[Path]:
    """Those that a defense reads; the clean images that a copying attack left are taken from the data set."""
    return sorted((next((place.state / "artifacts" / digest[:2]).glob(f"{digest}-*.pert"))
                   for kind, digest in stored.inputs(place.state) if kind == "adversarial"))


def test_artifacts_that_were_damaged_on_disk_are_found_made_again_and_reported(finished, tmp_path) -> None:
    place = Place(tmp_path / "t")
    shutil.copytree(finished[0].root, place.root)
    files = artifacts(place)
    contents = [path.read_bytes() for path in files]
    assert len(files) >= 5
    for number, (path, data) in enumerate(zip(files, contents, strict=True)):
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1:]
        path.write_bytes([flipped, data[:middle], b"", contents[number - 1], b""][number % 5])
        if number % 5 == 4:
            path.unlink()
    make.entry(place.root / "entries" / "defense-late", "defense-mean", note="late")
    done = place.run("--verbose")
    log = (place.state / "harness.log").read_text()
    for told in (log, done.stderr):
        assert told.count("A damaged artifact is set aside") >= 4
        assert told.count("A stored adversarial batch is damaged and is made again") >= 5
    assert f"{len(files)} stored adversarial batches did not match their digest and were made again" in done.stderr
    tables = place.tables()
    column = tables["matrix"]["defenses"].index("defense-late")
    twin = tables["matrix"]["defenses"].index("defense-mean")
    for counts in ("correct", "wrong", "target_hit", "labelled"):
        assert [row[column] for row in tables["matrix"][counts]] == [row[twin] for row in tables["matrix"][counts]]
        assert [[c for i, c in enumerate(row) if i != column] for row in tables["matrix"][counts]] \
            == finished[1]["matrix"][counts]
    assert [path.read_bytes() for path in files] == contents
    again = place.run().stderr
    assert "Nothing new to run" in again
    assert "A round" not in again, "the log is only said where it is asked for"


def grow(path: Path) -> None:
    """Write until an error. Unbuffered: what a buffer holds when the disk is full would fail once more when the file is closed."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


@pytest.mark.root
@pytest.mark.parametrize("leave", [0, 40_000], ids=["not a byte", "some room for files"])
def test_the_disk_runs_full_in_the_middle(make_place, undisturbed, leave) -> None:
    place = make_place(SLOW)
    with mounted(place.state, "size=16m"):
        process = place.start("run")
        place.until(lambda: place.done() >= 4, process)
        filler = place.state / "filler"
        with pytest.raises(OSError, match="No space left"):
            grow(filler)
        if leave:
            os.truncate(filler, filler.stat().st_size - leave)
        _, err = process.communicate(timeout=200)
        assert process.returncode == 2, err
        assert "full" in err or "No space left" in err
        assert "Traceback" not in err
        before = place.done()
        filler.unlink()
        place.run()
        assert before >= 4
        assert differences(place.tables(), undisturbed) == []
        assert place.leftovers() == []
        assert stored.is_sound(place.state)


def test_a_harness_that_was_stopped_for_longer_than_a_limit_judges_fairly(make_place, undisturbed) -> None:
    """SIGSTOP: the monotonic clock runs on, the programs too. Who ended meanwhile is not held to have passed its limit."""
    place = make_place(SLOW, rules={"time_limit_s": 4})
    process = place.start("run")
    place.until(lambda: place.done() >= 1, process)
    place.until(lambda: any(run.running and run.name == "attack-pause" for run in stored.runs(place.state)), process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(7)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert {run.outcome for run in stored.runs(place.state)} == {"ok"}
    assert differences(place.tables(), undisturbed) == []


def test_the_wall_clock_set_back_and_forward_does_not_matter(slow, undisturbed) -> None:
    jumping = ("import itertools, time; real = time.time; n = itertools.count()\n"
               "jumps = [0, -86400 * 400, 86400 * 400, -3600, 1e9, -1.7e9]\n"
               "time.time = lambda: real() + jumps[next(n) // 7 % len(jumps)]\n")
    process = slow.start("run", code=jumping + MAIN)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert differences(slow.tables(), undisturbed) == []
    assert all(0 < run.wall_s < 100 for run in stored.runs(slow.state))
    assert slow.leftovers() == []


def test_a_database_that_another_program_holds_for_a_while(slow, undisturbed) -> None:
    process = slow.start("run")
    slow.until(lambda: slow.done() >= 3, process)
    with stored.held(slow.state):
        time.sleep(3)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert differences(slow.tables(), undisturbed) == []


def test_a_database_that_another_program_does_not_let_go(slow, undisturbed) -> None:
    process = slow.start("run", code="import harness.store.database as d; d.BUSY_TIMEOUT_S = 1; " + MAIN)
    slow.until(lambda: slow.done() >= 3, process)
    with stored.held(slow.state):
        _, err = process.communicate(timeout=200)
        assert process.returncode == 2, err
        assert "is locked by another program" in err
        assert "Traceback" not in err
        again = slow.start("run", code="import harness.store.database as d; d.BUSY_TIMEOUT_S = 1; " + MAIN)
        _, err = again.communicate(timeout=200)
        assert again.returncode == 2, err
        assert "is locked by another program" in err
    assert slow.leftovers() == []
    slow.run()
    assert differences(slow.tables(), undisturbed) == []


class Daemon:
    """A Docker engine of one's own: stopping it disturbs nobody."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = f"unix://{root}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--host", self.host, "--data-root", str(self.root / "data"), "--exec-root", str(self.root / "exec"),
                 "--pidfile", str(self.root / "pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"],
                stdout=log, stderr=log, start_new_session=True)
        assert eventually(lambda: self.docker("info").returncode == 0), (self.root / "log").read_text()[-2000:]

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def docker(self, *args: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", "--host", self.host, *args], check=False, capture_output=True, **more)

    def load(self, image: str) -> None:
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            loaded = self.docker("load", stdin=saved.stdout)
        assert loaded.returncode == 0, loaded.stderr


@pytest.fixture(scope="module")
def daemon(light_image) -> Iterator[Daemon]:
    if shutil.which("dockerd") is None:
        pytest.skip("no dockerd on this host")
    root = Path("/tmp") / f"hd-{os.getpid()}"  # short: a socket's path has at most 107 bytes
    root.mkdir()
    found = Daemon(root)
    found.start()
    found.load(light_image)
    try:
        yield found
    finally:
        found.stop()
        for line in Path("/proc/self/mountinfo").read_text().splitlines()[::-1]:
            if line.split()[4].startswith(f"{root}/"):
                subprocess.run(["umount", "-l", line.split()[4]], check=False)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def contained(make_place, daemon) -> Place:
    place = make_place(SLOW, sandbox={"backend": "docker"})
    place.env["DOCKER_HOST"] = daemon.host
    return place


def go_on(place: Place, times: int = 4) -> str:
    """`harness run` until it ends well; all that was said."""
    said = ""
    for _ in range(times):
        done = place.harness("run")
        said += done.stderr
        assert done.returncode in (0, 2), done.stderr
        if done.returncode == 0 and "given up" not in done.stderr:
            return said
    raise AssertionError(said)


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.slow
def test_dockerd_is_stopped_and_started_in_the_middle(contained, daemon, undisturbed) -> None:
    process = contained.start("run")
    contained.until(lambda: contained.done() >= 3, process)
    daemon.stop()
    time.sleep(2)
    daemon.start()
    _, err = process.communicate(timeout=200)
    assert process.returncode in (0, 2), err
    assert "Traceback" not in err
    assert "on the host's side" in err
    assert "Docker" in err
    said = go_on(contained)
    assert differences(contained.tables(), undisturbed) == []
    left = daemon.docker("ps", "-a", "--format", "{{.ID}} {{.Status}} {{.Labels}}").stdout.decode()
    assert left == "", said
    assert contained.leftovers() == []


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.slow
def test_dockerd_stays_away(contained, daemon, undisturbed) -> None:
    process = contained.start("run")
    contained.until(lambda: contained.done() >= 3, process)
    daemon.stop()
    try:
        _, err = process.communicate(timeout=200)
        assert process.returncode in (0, 2), err
        assert "Traceback" not in err
        again = contained.harness("run")
        assert again.returncode == 2
        assert "No Docker engine answers" in again.stderr
    finally:
        daemon.start()
    go_on(contained)
    assert differences(contained.tables(), undisturbed) == []
    assert contained.leftovers() == []


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.slow
def test_a_container_is_removed_behind_our_back(contained, daemon, undisturbed) -> None:
    process = contained.start("run")
    # One that was at its end anyway does not count: until the harness has missed one.
    while process.poll() is None and not (contained.done() and stored.host_errors(contained.state)):
        for ident in daemon.docker("ps", "-q").stdout.decode().split():
            daemon.docker("rm", "-f", ident)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "failed on the host's side and were not scored" in err
    go_on(contained)
    assert differences(contained.tables(), undisturbed) == []
    told = stored.host_errors(contained.state)
    assert len(told) >= 1
    # Removed while it ran, or before it was started: the engine's words differ, what they are about does not.
    assert all("container" in evidence for evidence in told), told
    assert contained.leftovers() == []


@pytest.mark.docker
@pytest.mark.root
@pytest.mark.slow
def test_the_images_are_deleted(contained, daemon, undisturbed, light_image) -> None:
    process = contained.start("run")
    contained.until(lambda: contained.done() >= 3, process)
    images = daemon.docker("images", "-aq").stdout.decode().split()
    daemon.docker("rmi", "-f", *images)
    assert eventually(lambda: not daemon.docker("images", "-q", light_image).stdout or process.poll() is not None)
    _, err = process.communicate(timeout=200)
    daemon.load(light_image)
    assert process.returncode in (0, 2), err
    assert "Traceback" not in err
    assert "image_missing" not in {run.outcome for run in stored.runs(contained.state)}
    go_on(contained)
    assert differences(contained.tables(), undisturbed) == []
