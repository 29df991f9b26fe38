"""The doctor's judgements are tables; what it looks at is looked at once for real."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from harness import __version__, doctor
from harness.config import SandboxConfig, TournamentConfig, Workers
from harness.doctor import advisories, database, engine, gpu, host, limits, nodes
from harness.doctor.check import Check, usable
from harness.engine.gpu import parse
from harness.errors import StoreError
from harness.scoring import View
from harness.store import damage
from harness.store.database import open_database
from harness.tournament.choose_sandbox import has_run_isolated
from harness.tournament.leaderboard_cache import kept_leaderboard
from tests.helpers import stored

INFO = {
    "ServerVersion": "27.3.1", "KernelVersion": "6.1", "OperatingSystem": "Debian", "Driver": "overlay2",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=userns"], "CgroupVersion": "2",
    "CgroupDriver": "systemd", "MemoryLimit": True, "SwapLimit": True, "PidsLimit": True, "CpuCfsQuota": True,
    "Runtimes": {"runc": {}, "runsc": {}}, "DefaultRuntime": "runc", "RuncCommit": {"ID": "1.3.3"},
}


def judged(info):
    checks = [engine.version(info), *engine.security(info), engine.storage(info), engine.cgroups(info),
              engine.runtimes(info, None), engine.runc(info)]
    return {check.name: check for check in checks}


def test_a_good_engine_has_nothing_to_do():
    assert {check.state for check in judged(INFO).values()} == {"ok"}


@pytest.mark.parametrize(("changed", "name", "state"), [
    ({"ServerVersion": "19.3.1"}, "engine", "warn"),
    ({"ServerVersion": ""}, "engine", "warn"),
    ({"SecurityOptions": ["name=apparmor"]}, "seccomp", "fail"),
    ({"SecurityOptions": ["name=seccomp,profile=unconfined"]}, "seccomp", "fail"),
    ({"SecurityOptions": None}, "seccomp", "fail"),
    ({"SecurityOptions": ["name=seccomp,profile=default"]}, "access control", "warn"),
    ({"SecurityOptions": ["name=seccomp,profile=default"]}, "user namespaces", "warn"),
    ({"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}, "user namespaces", "ok"),
    ({"Driver": "vfs"}, "storage driver", "warn"),
    ({"PidsLimit": False}, "cgroups", "fail"),
    ({"SwapLimit": False}, "cgroups", "fail"),
    ({"SwapLimit": None}, "cgroups", "warn"),
    ({"Runtimes": None}, "runtimes", "warn"),
    ({"RuncCommit": {"ID": "1.1.11"}}, "runc", "warn"),
    ({"RuncCommit": {}}, "runc", "warn"),
], ids=lambda value: str(value)[:40])
def test_what_is_wrong_with_an_engine_is_said(changed, name, state):
    check = judged(INFO | changed)[name]
    assert check.state == state
    assert check.what
    assert state == "ok" or check.next_step


def test_a_runtime_that_is_asked_for_must_be_there():
    assert engine.runtimes(INFO, "runsc").state == "ok"
    assert engine.runtimes(INFO, "kata").state == "fail"
    assert engine.runtimes({}, "kata").state == "fail"


@pytest.mark.parametrize("judge", [
    engine.security, lambda info: [engine.cgroups(info)], lambda info: [engine.runtimes(info, None)]])
def test_what_an_engine_does_not_say_is_not_taken_for_no(judge):
    (check,) = judge({})
    assert "does not say" in check.what
    assert check.state != "ok"
    assert check.next_step


@pytest.mark.parametrize(("root", "words"), [
    ("/nowhere/docker", "at /nowhere/docker, which is not on this host"), ("", "at an unknown place")])
def test_the_room_of_an_engine_elsewhere_is_not_this_hosts(root, words):
    check = host.engine_room(root)
    assert check.state == "warn"
    assert words in check.what


@pytest.mark.parametrize(("version", "holes"), [
    ("1.16.1", {"CVE-2024-0132", "CVE-2025-23359", "CVE-2025-23266"}),
    ("1.16.2", {"CVE-2025-23359", "CVE-2025-23266"}),
    ("1.17.4", {"CVE-2025-23266"}),
    ("1.17.8", set()),
    ("1.18.0", set()),
])
def test_toolkit_advisories(version, holes):
    found = advisories.open_holes(advisories.parse(version), advisories.NVIDIA_TOOLKIT)
    assert {each.ident for each in found} == holes


@pytest.mark.parametrize(("version", "count"), [
    ("1.1.11", 4), ("1.1.12", 3), ("1.2.7", 3), ("1.2.8", 0), ("1.3.0", 3), ("1.3.3", 0), ("1.4.0", 0)])
def test_runc_advisories_know_their_branches(version, count):
    assert len(advisories.open_holes(advisories.parse(version), advisories.RUNC)) == count


def test_a_distributions_version_is_to_be_looked_up():
    check = advisories.judge("runc", "1.1.5+ds1-1+deb12u1", advisories.RUNC)
    assert check.state == "warn"
    assert "security tracker" in check.next_step


GPU_ROW = "0, GPU-7f3c, NVIDIA H200, 570.86.15, 143771, 0, 1980\n"


def test_gpus_are_read_and_those_asked_for_must_be_there():
    gpus = parse(GPU_ROW)
    assert gpu.judge(gpus, "auto").state == "ok"
    assert gpu.judge(gpus, ("GPU-7f3c", "0")).state == "ok"
    assert gpu.judge(gpus, ("1",)).state == "fail"
    assert gpu.judge([], "auto").state == "ok"
    assert gpu.checks("none", None)[0].state == "ok"


@pytest.mark.parametrize(("gpus", "info", "version", "state"), [
    (GPU_ROW, INFO, "NVIDIA Container Toolkit CLI version 1.17.8\ncommit: abc\n", "ok"),
    (GPU_ROW, INFO, "NVIDIA Container Toolkit CLI version 1.16.1\ncommit: abc\n", "warn"),
    (GPU_ROW, INFO, "cli-version: 1.14.3\nlib-version: 1.14.3\n", "warn"),
    (GPU_ROW, INFO | {"Runtimes": {"nvidia": {}}}, None, "warn"),
    (GPU_ROW, INFO, None, "warn"),
    ("", INFO, None, None),
])
def test_the_toolkit_is_judged(gpus, info, version, state):
    check = gpu.toolkit(parse(gpus), info, version)
    assert (check.state if check else None) == state


@pytest.mark.parametrize(("free", "inodes", "state"), [
    (50 << 30, 10**6, "ok"), (50 << 30, None, "ok"), (50 << 30, 10, "warn"),
    (5 << 30, 10**6, "warn"), (1 << 20, 10**6, "fail")])
def test_room(free, inodes, state):
    assert host.judge_room("disk", "/x", free, inodes).state == state


def test_room_of_a_directory_that_is_not_there_yet(tmp_path):
    assert host.room("disk", tmp_path / "a" / "b").what


@pytest.mark.parametrize(("wall", "drift", "engine_time", "state"), [
    (1.8e9, 0.0, 1.8e9, "ok"), (1.8e9, 0.0, None, "ok"), (1e9, 0.0, 1e9, "warn"), (1.8e9, 9.0, 1.8e9, "warn"),
    (1.8e9, 0.0, 1.8e9 + 3600, "warn")])
def test_clock(wall, drift, engine_time, state):
    assert host.judge_clock(wall, drift, engine_time).state == state


@pytest.mark.parametrize(("text", "seconds"), [
    ("2026-01-02T03:04:05.123456789Z", 1767323045.123),
    ("2026-01-02T05:04:05+02:00", 1767323045.0), ("", None), ("noon", None)])
def test_the_engines_time_is_read(text, seconds):
    assert host.read_engine_time(text) == (seconds if seconds is None else pytest.approx(seconds, abs=1e-3))


def test_memory_of_all_slots():
    assert host.memory(2, 4 << 30, 16 << 30).state == "ok"
    assert host.memory(8, 4 << 30, 16 << 30).state == "warn"
    assert host.memory(1, 17 << 30, 16 << 30).state == "fail"
    assert host.memory(1, 4 << 30, None).state == "warn"


@pytest.mark.parametrize(("judge", "ended", "state"), [
    (limits.memory, limits.Ended(137, True, ""), "ok"),
    (limits.memory, limits.Ended(137, False, ""), "warn"),
    (limits.memory, limits.Ended(0, False, "ate it"), "fail"),
    (limits.memory, limits.Ended(127, False, ""), "warn"),
    (limits.groups, limits.Ended(0, False, "0.2", True), "ok"),
    (limits.groups, limits.Ended(0, False, "0.2", False), "warn"),
    (limits.groups, limits.Ended(1, False, "", False), "warn"),
    (limits.processes, limits.Ended(0, False, "15"), "ok"),
    (limits.processes, limits.Ended(0, False, "64"), "fail"),
    (limits.processes, limits.Ended(1, False, ""), "warn"),
    (limits.processor, limits.Ended(0, False, "0.27"), "ok"),
    (limits.processor, limits.Ended(0, False, "0.98"), "fail"),
    (limits.processor, limits.Ended(1, False, ""), "warn"),
])
def test_trials_are_judged(judge, ended, state):
    assert judge(ended).state == state


def config(tmp_path, **sandbox):
    return TournamentConfig(name="t", dataset=tmp_path, state=tmp_path / "state", sandbox=SandboxConfig(**sandbox),
                            workers=Workers(gpus="none"))


def test_no_engine_fails_only_where_docker_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    found = {backend: {check.name: check for check in doctor.examine(config(tmp_path, backend=backend))}
             for backend in ("auto", "docker", "process")}
    assert [found[backend]["engine"].state for backend in found] == ["warn", "fail", "warn"]
    assert not usable(list(found["docker"].values()))
    assert "isolation" in found["auto"]["engine"].what


def test_looking_makes_nothing(tmp_path):
    doctor.examine(config(tmp_path, backend="process"), clean=True)
    assert list(tmp_path.iterdir()) == []


def listing(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("open_now", [False, True], ids=["at rest", "in use"])
@pytest.mark.parametrize(("statement", "state", "words"), [
    ("SELECT 1", "ok", "tournament.db"),
    ("PRAGMA user_version = 2", "warn", "is of an earlier harness; the next command migrates it"),
    ("PRAGMA user_version = 1000", "fail", "newer harness"),
    ("PRAGMA user_version = 1", "fail", "older harness"),
    ("PRAGMA user_version = 0", "fail", "not a database of this harness"),
    ("DROP TABLE summary", "fail", "not a database of this harness"),
], ids=["ours", "earlier", "newer", "too old", "foreign", "ours by its number alone"])
def test_a_database_is_looked_at_and_left_as_it_is(tmp_path, statement, state, words, open_now):
    place = config(tmp_path).database
    engine = open_database(place)
    engine.connect().close()  # it keeps the file open
    stored.change(place, statement)
    if not open_now:
        engine.dispose()
    before = listing(tmp_path)
    assert ("state/tournament.db-wal" in before) is open_now
    [found] = database.database(config(tmp_path))
    after = listing(tmp_path)
    engine.dispose()
    assert found.state == state
    assert words in found.what
    # Who has a database open shares locks in the one file.
    assert {name: held for name, held in after.items() if not name.endswith("-shm")} == {
        name: held for name, held in before.items() if not name.endswith("-shm")}
    assert after.keys() == before.keys()


def test_a_database_without_tables_is_none_yet(tmp_path):
    config(tmp_path).database.parent.mkdir(exist_ok=True)
    config(tmp_path).database.touch()
    assert database.database(config(tmp_path)) == []


def test_what_was_written_while_a_database_was_taken_for_one_at_rest_is_no_damage(tmp_path, monkeypatch):
    place = config(tmp_path).database
    open_database(place).dispose()
    sound, writers = damage.malformed, []

    def begins_to_write(transaction):
        if writers:
            return sound(transaction)
        writers.append(open_database(place).connect())
        return ["row 1 missing from index"]

    monkeypatch.setattr(damage, "malformed", begins_to_write)
    assert [check.state for check in database.database(config(tmp_path))] == ["ok"]
    writers[0].close()


def _deny(monkeypatch, denied: Path) -> None:
    """As for a user who may not read a directory."""
    stat, open_ = os.stat, io.open

    def refused(path, *rest, **more):
        if isinstance(path, str | Path) and Path(path).is_relative_to(denied):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", lambda path, *rest, **more: refused(path) or stat(path, *rest, **more))
    monkeypatch.setattr(io, "open", lambda path, *rest, **more: refused(path) or open_(path, *rest, **more))


@pytest.mark.parametrize("look", [
    lambda config: kept_leaderboard(config, View.STANDARD), lambda config: has_run_isolated(config.database),
    lambda config: open_database(config.database, create=False), lambda config: open_database(config.database)],
    ids=["leaderboard", "choice of a sandbox", "other commands", "run"])
def test_a_state_directory_that_cannot_be_read(tmp_path, monkeypatch, look):
    state = config(tmp_path).state
    open_database(config(tmp_path).database).dispose()
    _deny(monkeypatch, state)
    with pytest.raises(StoreError, match="cannot be read: Permission denied"):
        look(config(tmp_path))
    found = {check.name: check for check in doctor.examine(config(tmp_path, backend="process"))}
    assert found["database"].state == "fail"
    assert "cannot be read: Permission denied" in found["database"].what
    assert found["state directory"].state == "fail"


def test_a_database_file_that_cannot_be_read(tmp_path, monkeypatch):
    place = config(tmp_path).database
    open_database(place).dispose()
    monkeypatch.setattr(io, "open", _refuse)
    [found] = database.database(config(tmp_path))
    assert (found.state, found.what) == ("fail", f"{place} cannot be read: Permission denied.")


def _refuse(*_rest, **_more):
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_state_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "state").write_text("a file")
    assert host.writable(tmp_path / "state").state in {"ok", "fail"}


@pytest.mark.docker
def test_the_real_engine_is_examined_and_its_limits_bite(tmp_path, light_image):
    found = {check.name: check for check in doctor.examine(config(tmp_path, backend="docker"))}
    assert light_image
    assert found["memory limit"].state == "ok"
    assert found["process limit"].state == found["CPU limit"].state == "ok"
    assert found["shared directories"].state == found["control groups"].state == "ok"
    assert {"engine", "seccomp", "cgroups", "runc", "disk of the engine", "clock", "left containers"} <= set(found)


@pytest.mark.docker
@pytest.mark.alone  # removes what dead harnesses left
def test_clean_removes_a_dead_owners_container_and_no_other(tmp_path, light_image, docker_client):
    owner = f"elsewhen/pid-{uuid.uuid4().hex}:1:1"
    mine = docker_client.containers.create(light_image, ["true"], labels={"harness": "1", "harness.owner": owner})
    other = docker_client.containers.create(light_image, ["true"], labels={"harness-like": "1"})
    try:
        before, after = (
            next(check for check in doctor.examine(config(tmp_path, backend="docker"), clean=clean)
                 if check.name == "left containers")
            for clean in (False, True))
        assert before.state == "warn"
        assert mine.id[:12] in after.what
        left = {each.id for each in docker_client.containers.list(all=True, ignore_removed=True)}
        assert mine.id not in left
        assert other.id in left
    finally:
        other.remove()


def run_doctor(tmp_path, *arguments):
    return subprocess.run([sys.executable, "-m", "harness.cli.main", "doctor", *arguments], cwd=tmp_path,
                          capture_output=True, text=True, check=False)


def test_the_verb_prints_data_and_exits_0_without_a_tournament(tmp_path):
    (tmp_path / "t.yaml").write_text("name: t\ndataset: d\nsandbox: {backend: process}\nworkers: {gpus: none}\n")
    done = run_doctor(tmp_path, "--config", "t.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["checks"]
    assert all(set(row) == set(Check.__dataclass_fields__) for row in rows)
    assert run_doctor(tmp_path, "--config", "t.yaml").stdout.startswith("check")


def test_the_verb_exits_2_where_something_asked_for_is_missing(tmp_path):
    (tmp_path / "t.yaml").write_text("name: t\ndataset: d\nsandbox: {backend: process}\nworkers: {gpus: ['77']}\n")
    done = run_doctor(tmp_path, "--config", "t.yaml", "--format", "markdown")
    assert done.returncode == 2
    assert "| GPUs | fail |" in done.stdout


@pytest.mark.parametrize(("there", "state", "words"), [
    (100.0, "ok", "0.50 s behind"), (101.0, "ok", "0.50 s ahead of"), (107.0, "warn", "6.50 s ahead of"),
    (90.0, "warn", "10.50 s behind"), (106.0, "ok", "known to 0.50 s")])
def test_a_machines_clock_is_judged_by_what_is_sure(there, state, words) -> None:
    check = nodes.judge_difference(100.0, there, 101.0)
    assert (check.state, words in check.what) == (state, True)


@pytest.mark.parametrize(("version", "token", "state"), [
    (__version__, True, "ok"), ("0.0.1", True, "fail"), (__version__, False, "fail")])
def test_a_node_of_another_kind_is_told(version, token, state) -> None:
    assert nodes.judge_node(nodes.Look(version, token, ())).state == state


@pytest.mark.alone
def test_every_machine_of_a_cluster_is_asked(tmp_path, ray_cluster) -> None:
    def config(address: str, store: str | None = None) -> TournamentConfig:
        return TournamentConfig.model_validate({
            "name": "t", "dataset": tmp_path, "state": tmp_path / "state", "sandbox": {"backend": "process"},
            "workers": {"engine": "ray", "address": address, "gpus": "none"}, "store": {"artifacts": store}})

    found = {check.name: check for check in doctor.examine(config(ray_cluster.address, f"file:{tmp_path}"))}
    machines = {name.partition(": ")[0] for name in found if ": " in name}
    assert len(machines) == len(ray_cluster.nodes)
    for what in ("node", "clock difference", "engine", "GPUs", "disk of the state", "memory", "artifact store", "decoders"):
        assert {f"{name}: {what}" for name in machines} <= found.keys(), what
    sure = ("node", "clock difference", "artifact store")
    assert {found[f"{name}: {what}"].state for name in machines for what in sure} == {"ok"}
    assert found["cluster"].state == "ok"
    lost = {check.name: check for check in doctor.examine(config("127.0.0.1:1"))}
    assert (lost["cluster"].state, "nothing answers" in lost["cluster"].what) == ("fail", True)
