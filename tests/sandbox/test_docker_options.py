"""What the engine is asked for, read from the configuration itself: no engine and no GPU is needed.

That the engine keeps to it is for the conformance suite and ``harness selftest``; a GPU is seen here only.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from harness.sandbox import docker as docker_sandbox
from harness.sandbox.base import Limits, Profile, Program, RunReport, RunRequest
from harness.sandbox.docker import DockerSandbox, seccomp
from harness.sandbox.docker.images import ImageFacts
from harness.sandbox.docker.options import Mount, Start, container_config
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea

LIMITS = Limits(cpus=1.5, memory_bytes=3 << 30, shm_bytes=5 << 20, tmp_bytes=7 << 20, pids=77, output_bytes=11 << 20,
                layer_bytes=13 << 20)
#: As an image would be made that wants more than its share of the host.
GREEDY = ("PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all", "CUDA_VISIBLE_DEVICES=0,1",
          "LD_PRELOAD=/x.so")
IMAGE = ImageFacts("sha256:abc", ("/start",), (), GREEDY, ("/data", "/in"), {}, "amd64")
PROFILES = pytest.mark.parametrize("profile", ["strict", "legacy"])


def configured(profile: Profile = "strict", *, gpu: str | None = None, runtime: str | None = None, limits: Limits = LIMITS,
               code: Path | None = None) -> dict[str, Any]:
    program = Program("digest", "image", code, "run.sh" if code else None, profile)
    mounts = [Mount(Path("/host/in"), "/in", read_only=True), Mount(Path("/host/out"), "/out", read_only=False)]
    return container_config(Start(program, IMAGE, ["/start", "a", "b"], mounts, limits, gpu, {"harness.run": "1"}, runtime))


@PROFILES
@pytest.mark.parametrize("gpu", ["GPU-abc", "2"])
def test_the_slots_gpu_is_asked_for_and_no_other(profile: Profile, gpu: str) -> None:
    (request,) = configured(profile, gpu=gpu)["HostConfig"]["DeviceRequests"]
    assert request["DeviceIDs"] == [gpu]
    assert ["gpu", "compute", "utility"] in request["Capabilities"]
    assert "Count" not in request  # -1 would be all of them


@PROFILES
def test_without_a_gpu_none_is_asked_for_and_none_is_given(profile: Profile) -> None:
    config = configured(profile)
    assert not {"DeviceRequests", "Devices"} & config["HostConfig"].keys()
    assert "NVIDIA_VISIBLE_DEVICES=void" in config["Env"]


@PROFILES
@pytest.mark.parametrize("gpu", ["GPU-abc", None])
def test_an_image_cannot_choose_its_gpus_nor_what_is_loaded(profile: Profile, gpu: str | None) -> None:
    found = configured(profile, gpu=gpu)["Env"]
    # A name without a value takes the image's away. With a GPU the engine then says which by itself.
    void = "NVIDIA_VISIBLE_DEVICES" if gpu else "NVIDIA_VISIBLE_DEVICES=void"
    home = "HOME=/tmp" if profile == "strict" else "HOME=/root"
    assert sorted(found) == sorted(
        [home, "OMP_NUM_THREADS=1", void, "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD"])


@PROFILES
@pytest.mark.parametrize("gpu", ["GPU-abc", None])
def test_the_limits_are_the_files_whatever_the_profile_and_the_gpu(profile: Profile, gpu: str | None) -> None:
    host = configured(profile, gpu=gpu)["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 3 << 30
    assert host["NanoCpus"] == 1_500_000_000
    assert host["PidsLimit"] == 77
    assert host["ShmSize"] == 5 << 20
    assert f"size={7 << 20}" in host["Tmpfs"]["/tmp"].split(",")
    assert host["OomScoreAdj"] == 500  # the kernel takes a submission before the harness or the engine


@PROFILES
@pytest.mark.parametrize(("limits", "largest"), [
    (LIMITS, 13 << 20), (Limits(output_bytes=9, layer_bytes=5, tmp_bytes=3), 9),
    (Limits(output_bytes=3, layer_bytes=5, tmp_bytes=7), 7)])
def test_the_largest_file_is_what_the_most_generous_place_may_hold(profile: Profile, limits: Limits, largest: int) -> None:
    found = {entry["Name"]: (entry["Soft"], entry["Hard"]) for entry in configured(profile, limits=limits)["HostConfig"]["Ulimits"]}
    assert found == {"nofile": (16384, 16384), "core": (0, 0), "fsize": (largest, largest),
                     "sigpending": (1024, 1024), "msgqueue": (0, 0)}


@PROFILES
@pytest.mark.parametrize("gpu", ["GPU-abc", None])
def test_nothing_of_the_host_is_open(profile: Profile, gpu: str | None) -> None:
    config = configured(profile, gpu=gpu)
    host = config["HostConfig"]
    assert config["NetworkDisabled"] is True
    assert host["NetworkMode"] == "none"
    assert host["IpcMode"] == "private"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true", seccomp.option()]
    assert host["Privileged"] is False
    assert not {"CapAdd", "Binds", "PidMode", "UsernsMode", "Links", "VolumesFrom", "GroupAdd"} & host.keys()
    assert host["LogConfig"] == {"Type": "none"}
    assert host["RestartPolicy"] == {"Name": "no"}
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert {mount["Target"]: mount["ReadOnly"] for mount in host["Mounts"]} == {"/in": True, "/out": False}


@pytest.mark.parametrize(("profile", "user", "read_only"), [("strict", "65534:65534", True), ("legacy", "0:0", False)])
def test_the_profiles_differ_in_user_and_root_file_system(profile: Profile, user: str, read_only: bool) -> None:
    config = configured(profile)
    assert (config["User"], config["HostConfig"]["ReadonlyRootfs"]) == (user, read_only)


def test_a_directory_starts_in_its_code_and_an_image_where_it_wants() -> None:
    assert configured("legacy", code=Path("/frozen"))["WorkingDir"] == "/code"
    assert "WorkingDir" not in configured("strict")


def test_a_volume_of_the_image_is_covered_unless_something_is_mounted_there() -> None:
    found = configured()["HostConfig"]["Tmpfs"]
    assert sorted(found) == ["/data", "/tmp"]
    assert f"size={7 << 20}" in found["/data"].split(",")


@PROFILES
@pytest.mark.parametrize("runtime", ["runsc", None])
def test_the_runtime_is_the_files_or_the_engines_default(profile: Profile, runtime: str | None) -> None:
    assert configured(profile, runtime=runtime)["HostConfig"].get("Runtime") == runtime


class NoEngine:
    """Answers what a sandbox asks before it starts anything."""

    def info(self) -> dict[str, Any]:
        return {"NCPU": 64}

    def inspect_image(self, image: str) -> dict[str, Any]:
        return {"Id": image}


@pytest.fixture
def started(monkeypatch) -> list[dict[str, Any]]:
    """The configurations that the sandbox would have given to the engine."""
    found: list[dict[str, Any]] = []

    def note(_engine: object, start: Start, *_: object) -> RunReport:
        found.append(container_config(start))
        return RunReport(Ending.FINISHED, exit_code=0)

    monkeypatch.setattr(docker_sandbox, "connect", NoEngine)
    monkeypatch.setattr(docker_sandbox.images, "find", lambda *_: IMAGE)
    monkeypatch.setattr(docker_sandbox, "run_container", note)
    monkeypatch.setattr(docker_sandbox, "open_container", note)
    return found


@pytest.mark.parametrize("served", [False, True])
def test_what_a_run_was_given_reaches_the_engine(started, tmp_path, served: bool) -> None:
    sandbox = DockerSandbox("runsc")
    program = Program("digest", "image", None, None, "strict", serves=served)
    if served:
        sandbox.open(program, "attack", tmp_path / "work", LIMITS, "GPU-abc", {})
    else:
        with OutputArea(tmp_path / "out", LIMITS.output_bytes, LIMITS.output_files) as area:
            request = RunRequest(program, "attack", tmp_path, area, 16, LIMITS, gpu="GPU-abc")
            sandbox.run(request, threading.Event())
    (config,) = started
    assert config["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["GPU-abc"]
    assert (config["HostConfig"]["Runtime"], config["HostConfig"]["Memory"]) == ("runsc", 3 << 30)
    assert config["OpenStdin"] is served
