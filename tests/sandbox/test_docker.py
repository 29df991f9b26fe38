"""What only the Docker sandbox promises: isolation, images, and whose fault it is."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound
from requests import Response

from harness.errors import EngineError, ImageUnavailableError
from harness.sandbox import owner
from harness.sandbox.base import Program
from harness.sandbox.docker import code_image, seccomp
from harness.sandbox.docker.container import engine_seconds
from harness.sandbox.image_rules import CODE_LABEL, CODE_TOURNAMENT, BaseImage, ImageRules
from harness.sandbox.outcomes import Ending
from harness.submission import code_tree

from .conftest import LIMITS, MADE

pytestmark = [pytest.mark.docker, pytest.mark.alone]  # its limits are those of a host at rest

BASH = "#!/bin/bash\n"


@pytest.fixture
def sandbox(docker_sandbox, base_image):
    return docker_sandbox


@pytest.fixture
def make_image(sandbox, base_image):
    """Make an image: the base with another configuration, and perhaps files."""
    made = []

    def make(files: dict[str, bytes] | None = None, **config) -> str:
        ident = sandbox.api.create_container(base_image, ["true"])["Id"]
        if files:
            spool = io.BytesIO()
            with tarfile.open(fileobj=spool, mode="w") as archive:
                for name, data in files.items():
                    member = tarfile.TarInfo(name)
                    member.size, member.mode = len(data), 0o755
                    archive.addfile(member, io.BytesIO(data))
            sandbox.api.put_archive(ident, "/", spool.getvalue())
        made.append(sandbox.api.commit(ident, conf={"Cmd": None, **config})["Id"])
        sandbox.api.remove_container(ident, v=True)
        return made[-1]

    yield make
    for ident in made:
        with contextlib.suppress(ImageNotFound):
            sandbox.api.remove_image(ident, force=True)


def plain(image: str, profile: str = "strict") -> Program:
    return Program("plain" + image, image, None, None, profile)  # type: ignore[arg-type]


def containers(sandbox, **which: bool) -> list[str]:
    """Of this test process alone: others test beside it."""
    labels = ["harness.tournament=conformance", f"{owner.OWNER}={owner.myself()}"]
    return [found["Id"] for found in sandbox.api.containers(**{"all": True, **which}, filters={"label": labels})]


def meanwhile(sandbox, act) -> threading.Thread:
    """Do something to the test's container as soon as it runs."""
    def wait() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = containers(sandbox, all=False)
            if found:
                act(found[0])
                return
            time.sleep(0.05)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


FORKS = """python3 -c '
import os, signal, sys
for made in range(1, 400):
    try:
        child = os.fork()
    except BlockingIOError:
        print(made)
        sys.exit()
    if child == 0:
        signal.pause()
'"""
INSIDE = {
    "no capability": ("grep -E 'Cap(Eff|Prm|Bnd|Inh|Amb)' /proc/self/status | awk '{print $2}' | sort -u", "0000000000000000"),
    "no new privileges": ("grep NoNewPrivs /proc/self/status | awk '{print $2}'", "1"),
    "seccomp filter": ("grep Seccomp: /proc/self/status | awk '{print $2}'", "2"),
    "no network": ("cat /proc/net/dev | tail -n +3 | grep -vc 'lo:'", "0"),
    "no address but loopback": ("(: < /dev/tcp/169.254.169.254/80) 2>&1 | grep -o 'Network is unreachable' | sort -u",
                                 "Network is unreachable"),
    "host name": ("hostname", "sandbox"),
    "memory with swap": ("cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes || cat /sys/fs/cgroup/memory.max",
                         str(LIMITS.memory_bytes)),
    # Nobody ends meanwhile, however slowly they are made.
    "processes": (FORKS, None),
    "shared memory": ("df -B1 --output=size /dev/shm | tail -1 | tr -d ' '", str(LIMITS.shm_bytes)),
    "temporary files": ("df -B1 --output=size /tmp | tail -1 | tr -d ' '", str(LIMITS.tmp_bytes)),
    "input is read-only": ("touch /input_images/x 2>&1 | grep -c 'Read-only'", "1"),
    "output runs nothing": ("cp /bin/true /output_images/t; /output_images/t 2>&1 | grep -c 'Permission denied'", "1"),
    "no device can be made": ("mknod /tmp/sda b 8 0 2>&1 | grep -c 'not permitted'", "1"),
    "no mount": ("mount -t tmpfs x /mnt 2>&1 | grep -ciE 'permission denied|not permitted|must be superuser'", "1"),
    "no second user": ("su nobody -s /bin/true 2>/dev/null; test $? -ne 0 && echo refused", "refused"),
    "no Docker socket": ("ls /var/run/docker.sock /run/docker.sock 2>/dev/null | wc -l", "0"),
    "no core files": ("ulimit -c", "0"),
    "no more than its mounts": ("awk '{print $5}' /proc/self/mountinfo | grep -E '^/(code|in|out|ba)' | sort | tr '\\n' ' '",
                                "/input_images /output_images "),
    "processes of its own only": ("ls -d /proc/[0-9]* | wc -l | awk '{print ($1 < 8)}'", "1"),
}


@pytest.mark.parametrize("row", INSIDE)
def test_from_inside(row, sandbox, bench) -> None:
    command, expected = INSIDE[row]
    report = bench.run(sandbox, bench.program(BASH + command))
    if expected is None:
        assert 0 < int(report.stdout) < LIMITS.pids, report
    else:
        assert report.stdout.rstrip("\n") == expected, report


def test_two_at_once_use_no_more_than_their_processor(sandbox, bench) -> None:
    text = "#!/usr/bin/env python3\nimport os, time\nos.fork()\nend = time.time() + 1\nwhile time.time() < end: pass\n"
    report = bench.run(sandbox, bench.program(text), dataclasses.replace(LIMITS, cpus=0.5))
    assert report.cpu_s is not None
    assert report.cpu_s < 1


def test_more_processors_than_there_are(sandbox, bench) -> None:
    report = bench.run(sandbox, bench.program(BASH + "true"), dataclasses.replace(LIMITS, cpus=4096))
    assert report.exit_code == 0, report


def test_legacy_installs_a_bundled_wheel_as_root(sandbox, bench, tmp_path) -> None:
    program = bench.program(BASH + "export PIP_BREAK_SYSTEM_PACKAGES=1\nset -e\nid -u\n"
                            "pip install --no-index ./tiny-1.0-py3-none-any.whl >/dev/null\n"
                            "python3 -c 'import tiny; print(tiny.WORD)'\necho x > /code/new; echo x > /dev/shm/x; ls -ld /code")
    with zipfile.ZipFile(program.code_dir / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "WORD = 'installed'\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\n")
    report = bench.run(sandbox, program, dataclasses.replace(LIMITS, time_limit_s=60))
    if "No module named pip" in report.stderr or "pip: command not found" in report.stderr:
        pytest.skip("the base image has no pip")
    assert report.exit_code == 0, report
    assert report.stdout.splitlines()[:2] == ["0", "installed"]


def test_strict_is_nobody_on_a_read_only_root(sandbox, bench) -> None:
    text = BASH + "id -u; touch /code/x /usr/x 2>&1 | grep -c Read-only; touch /tmp/ok $HOME/ok && cp $1/* $2"
    report = bench.run(sandbox, bench.program(text, profile="strict"))
    assert (report.exit_code, report.stdout) == (0, "65534\n2\n"), report
    assert list(bench.outputs) == ["a.png"]


IMAGES: dict[str, Any] = {
    "entry point": ({"Entrypoint": ["echo", "a"], "Cmd": ["b"]}, "a /input_images /output_images 16\n"),
    "command only": ({"Cmd": ["echo", "c"]}, "c /input_images /output_images 16\n"),
    "user": ({"Entrypoint": ["id", "-u"], "Cmd": ["x"], "User": "0"}, None),
    "working directory": ({"Entrypoint": ["bash", "-c", "pwd"], "WorkingDir": "/var"}, "/var\n"),
    "health check": ({"Entrypoint": ["bash", "-c", "echo ok"],
                      "Healthcheck": {"Test": ["CMD", "touch", "/tmp/x"], "Interval": 1_000_000_000}}, "ok\n"),
    "volume over the output": ({"Entrypoint": ["bash", "-c", "echo x > /output_images/x; echo ok"],
                                "Volumes": {"/output_images": {}}}, "ok\n"),
    "volume elsewhere": ({"Entrypoint": ["bash", "-c", "stat -fc %T /data; head -c 99M /dev/zero > /data/x || echo full"],
                          "Volumes": {"/data": {}}}, "tmpfs\nfull\n"),
    "environment for hooks": ({"Entrypoint": ["bash", "-c", "env | grep -E 'NVIDIA|LD_|MY' | sort | tr '\\n' ' '"],
                               "Env": ["PATH=/usr/bin:/bin", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all",
                                       "NVIDIA_REQUIRE_CUDA=x", "LD_PRELOAD=/x.so", "LD_AUDIT=/x.so", "MY=1"]},
                              "MY=1 NVIDIA_VISIBLE_DEVICES=void "),
}


def left_volumes(sandbox) -> set[str]:
    """Of no container: those of containers that others run beside the test are none of its business."""
    return {found["Name"] for found in sandbox.api.volumes(filters={"dangling": True})["Volumes"] or []}


@pytest.mark.parametrize("row", IMAGES)
def test_plain_image(row, sandbox, bench, make_image) -> None:
    config, stdout = IMAGES[row]
    volumes = left_volumes(sandbox)
    report = bench.run(sandbox, plain(make_image(**config)))
    if stdout is None:
        assert report.ending is Ending.FINISHED
        assert report.exit_code == 1  # id refuses the arguments, as user 65534
    else:
        assert report.stdout == stdout, report
    assert left_volumes(sandbox) <= volumes


BAD_IMAGES: dict[str, Any] = {
    "entry point that is not there": {"Entrypoint": ["/nowhere"]},
    "entry point that is not executable": {"Entrypoint": ["/etc/passwd"]},
    "working directory below a file": {"Entrypoint": ["true"], "WorkingDir": "/etc/passwd/x"},
    "working directory of a long name": {"Entrypoint": ["true"], "WorkingDir": "/" + "x" * 300},
    "working directory in a descriptor": {"Entrypoint": ["true"], "WorkingDir": "/proc/self/fd/7"},
    "volume inside the input": {"Entrypoint": ["true"], "Volumes": {"/input_images/x": {}}},
}


@pytest.mark.parametrize("row", BAD_IMAGES)
def test_plain_image_that_cannot_start(row, sandbox, bench, make_image) -> None:
    report = bench.run(sandbox, plain(make_image(**BAD_IMAGES[row])))
    assert report.ending is Ending.START_FAILED, report


def test_image_that_starts_nothing(sandbox, bench) -> None:
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    image = json.loads(sandbox.api.import_image_from_data(empty.getvalue()).splitlines()[-1])["status"]
    try:
        report = bench.run(sandbox, plain(image))
        assert report.ending is Ending.START_FAILED
        assert "ENTRYPOINT" in report.detail
    finally:
        sandbox.api.remove_image(image)


def test_image_with_files_in_the_way(sandbox, bench, make_image) -> None:
    report = bench.run(sandbox, plain(make_image({"output_images": b"a file"}, Entrypoint=["true"])))
    assert report.ending is Ending.START_FAILED, report


@pytest.mark.parametrize("name", ["localhost/no-such:1", "sha256:" + "0" * 64, "UPPER CASE", ""])
def test_image_that_is_not_there(name, sandbox, bench) -> None:
    report = bench.run(sandbox, plain(name))
    assert report.ending is Ending.IMAGE_MISSING, report
    with pytest.raises(ImageUnavailableError):
        sandbox.pin_image(name)


def test_code_image_removed_behind_our_back_is_made_anew(sandbox, bench) -> None:
    program = bench.program(BASH + "echo here")
    sandbox.prepare(program)
    assert sandbox.remove_code_images([program.digest])
    assert bench.run(sandbox, program).stdout == "here\n"


def test_base_image_removed_behind_our_back(sandbox, bench, make_image) -> None:
    image = make_image(Entrypoint=["echo"])
    sandbox.prepare(plain(image))
    sandbox.api.remove_image(image, force=True)
    assert bench.run(sandbox, plain(image)).ending is Ending.IMAGE_MISSING


def test_pinned_and_labelled(sandbox, make_image) -> None:
    image = make_image(Labels={"harness.type": "attack"}, Entrypoint=["true"])
    assert sandbox.pin_image(image) == image
    assert sandbox.image_labels(image)["harness.type"] == "attack"


def based(program: Program, name: str, image: BaseImage) -> Program:
    return dataclasses.replace(program, image=name, rules=ImageRules(pinned={name: image}))


def test_a_name_that_is_moved_in_mid_contest_changes_nothing_that_runs(sandbox, bench, make_image) -> None:
    """Neither for a program that has run nor for one that starts for the first time; the next call takes what it is then."""
    name, repository = "localhost/harness-test-moved:1", "localhost/harness-test-moved"
    moved = [make_image({"which": b"the first\n"}), make_image({"which": b"the second\n"})]
    programs = [bench.program(BASH + f"cat /which # {number}") for number in range(2)]
    try:
        said = []
        for image in moved:
            sandbox.api.tag(image, repository, "1")
            found = sandbox.pin_base(name, ImageRules())
            assert (found.ident, found.identity) == (image, image)
            sandbox.api.tag(moved[-1], repository, "1")
            said += [bench.run(sandbox, based(program, name, found)).stdout for program in programs]
        assert said == ["the first\n", "the first\n", "the second\n", "the second\n"]
    finally:
        sandbox.api.remove_image(name)
        sandbox.remove_code_images({program.digest for program in programs})


def test_a_base_that_was_not_there_is_not_looked_for_again(sandbox, bench) -> None:
    found = sandbox.pin_base("localhost/harness-test-absent:1", ImageRules())
    assert (found.ident, found.identity) == (None, "")
    program = based(bench.program(BASH + "echo never"), bench.image, found)
    report = bench.run(sandbox, program)
    assert report.ending is Ending.IMAGE_MISSING
    assert "'localhost/harness-test-absent:1' is not on this host" in report.detail


def test_a_base_that_went_after_it_was_found_is_not_the_submissions_fault(sandbox, bench) -> None:
    gone = BaseImage("sha256:" + "0" * 64, "x")
    report = bench.run(sandbox, based(bench.program(BASH + "echo never"), bench.image, gone))
    assert report.ending is Ending.HOST_ERROR
    assert "is no longer on this host" in report.detail


def test_killed_from_outside_is_not_the_programs_fault(sandbox, bench) -> None:
    thread = meanwhile(sandbox, sandbox.api.kill)
    report = bench.run(sandbox, bench.program(BASH + "sleep 60"))
    thread.join()
    assert report.ending is Ending.HOST_ERROR
    assert "outside" in report.detail


def test_removed_from_outside(sandbox, bench) -> None:
    thread = meanwhile(sandbox, lambda ident: sandbox.api.remove_container(ident, force=True))
    report = bench.run(sandbox, bench.program(BASH + "sleep 60"))
    thread.join()
    assert report.ending is Ending.HOST_ERROR


def test_nothing_is_left(sandbox, bench) -> None:
    bench.run(sandbox, bench.program(BASH + "exit 3"))
    assert containers(sandbox) == []


def test_cleanup_removes_the_dead_owners_containers_only(sandbox, base_image) -> None:
    dead, alive, strange = [sandbox.api.create_container(base_image, ["true"], labels=labels)["Id"] for labels in (
        {**owner.labels_of({"tournament": "t-cleanup", "run": "7"}), owner.OWNER: f"{owner.myself()}0"},
        owner.labels_of({"tournament": "t-cleanup"}), {"harness.tournament": "t-cleanup"})]
    try:
        assert sandbox.cleanup("t-other") == []
        assert sandbox.cleanup("t-cleanup") == [f"container {dead[:12]} (run 7)"]
        left = {found["Id"] for found in sandbox.api.containers(all=True)}
        assert {alive, strange} <= left
        assert dead not in left
    finally:
        for ident in (alive, strange):
            sandbox.api.remove_container(ident)


def test_labels_and_configuration(sandbox, bench) -> None:
    seen, cancel = [], threading.Event()

    def look(ident: str) -> None:
        seen.append(sandbox.api.inspect_container(ident))
        cancel.set()

    thread = meanwhile(sandbox, look)
    bench.run(sandbox, bench.program(BASH + "sleep 60"), dataclasses.replace(LIMITS, time_limit_s=60), cancel=cancel)
    thread.join()
    labels = {"harness": "1", "harness.run": "1", "harness.attempt": "1", owner.OWNER: owner.myself()}
    assert labels.items() <= seen[0]["Config"]["Labels"].items()
    host = seen[0]["HostConfig"]
    assert host["LogConfig"]["Type"] == "none"
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["NetworkMode"] == "none"
    assert host["Memory"] == host["MemorySwap"] == LIMITS.memory_bytes
    assert host["SecurityOpt"] == ["no-new-privileges:true", seccomp.option()]
    assert not host["Privileged"]
    assert not host["Devices"]


@pytest.mark.parametrize(("began", "ended", "seconds"), [
    ("2024-01-01T00:00:00.5Z", "2024-01-01T00:00:02.000000001Z", 1.5),
    ("2024-01-01T00:00:00Z", "2024-01-01T00:00:02.123456789Z", 2.123456),
    ("0001-01-01T00:00:00Z", "nonsense", None),
])
def test_the_engines_own_times(began, ended, seconds) -> None:
    assert engine_seconds({"StartedAt": began, "FinishedAt": ended}) == seconds


def test_a_directory_reads_no_other_submission_through_its_base(sandbox, bench, make_image) -> None:
    """Another's image, by its id or because it is a submission, and the image that the harness made of another's code."""
    secret = bench.program(BASH + "echo secret")
    sandbox.prepare(secret)
    made = next(image for image in code_image.of_tournament(sandbox.api, None) if image["Labels"][CODE_LABEL] == secret.digest)
    theirs = make_image(Entrypoint=["true"])
    sandbox.api.tag(theirs, "localhost/harness-test-team", "1")
    try:
        for name in (theirs, theirs[7:19], made["Id"], made["RepoTags"][0], "localhost/harness-test-team:1"):
            program = dataclasses.replace(
                bench.program(BASH + "cat /code/*"), image=name, rules=ImageRules(taken=frozenset({theirs})))
            report = bench.run(sandbox, program)
            assert report.ending is Ending.IMAGE_MISSING, (name, report)
            assert "secret" not in report.stdout
    finally:
        sandbox.api.remove_image("localhost/harness-test-team:1")


def test_each_tournament_has_code_images_of_its_own_and_removes_no_others(sandbox, bench) -> None:
    program = bench.program(BASH + "echo mine")
    for number, tournament in enumerate(("one@x", "two@x")):
        sandbox.prepare(dataclasses.replace(program, image=bench.image, rules=ImageRules(tournament=tournament, secret=number)))
        sandbox._ready.clear()
    assert len(code_image.of_tournament(sandbox.api, "one@x")) == len(code_image.of_tournament(sandbox.api, "two@x")) == 1
    assert len(sandbox.remove_code_images(None, "one@x")) == 1
    assert [len(code_image.of_tournament(sandbox.api, name)) for name in ("one@x", "two@x")] == [0, 1]
    assert len(sandbox.remove_code_images(None, "two@x")) == 1


SHARES = ImageRules(tournament="shares@x", secret=os.getpid())


def as_entry(bench, metadata: str, weights: bytes = b"w" * (1 << 20), **changes: Any) -> Program:
    """A directory as its author has it: a program, weights, and metadata.json."""
    program = bench.program(BASH + "cat metadata.json; wc -c < weights.bin; rm weights.bin; echo x > metadata.json", mode=0o644)
    folder = bench.root / f"{metadata}-{hashlib.sha256(weights).hexdigest()[:16]}"
    if not folder.exists():
        shutil.copytree(program.code_dir, folder)
        (folder / "weights.bin").write_bytes(weights)
        (folder / "metadata.json").write_text(metadata)
    digest = code_tree.digest(folder)
    MADE.add(digest)
    return dataclasses.replace(program, **{"digest": digest, "code_dir": folder, "rules": SHARES, **changes})


@pytest.fixture
def shared(sandbox) -> Iterator[None]:
    yield
    sandbox.remove_code_images(None, SHARES.tournament)
    sandbox._ready.clear()


def layers(sandbox, program: Program) -> list[str]:
    return list(sandbox.api.inspect_image(sandbox._image(program).ident)["RootFS"]["Layers"])


def test_a_change_of_metadata_alone_copies_nothing_anew(sandbox, bench, shared) -> None:
    """Each is the first one and a layer, and keeps what is its own, also after the first is removed."""
    texts = ("one", "two", "three")
    entries = [as_entry(bench, text) for text in texts]
    first, *others = [layers(sandbox, each) for each in entries]
    assert [other[:-1] for other in others] == [first, first]
    history = sandbox.api.history(sandbox._image(entries[1]).ident)
    assert history[0]["Size"] < 1000 < history[1]["Size"]
    for text, entry in list(zip(texts, entries, strict=True)) * 2:
        assert bench.run(sandbox, entry).stdout.split() == [text + str(1 << 20)]
    assert len(sandbox.remove_code_images([entries[0].digest])) == 1
    sandbox._ready.clear()
    assert bench.run(sandbox, entries[1]).stdout.startswith("two")
    assert layers(sandbox, as_entry(bench, "four"))[:-1] in others
    assert len(sandbox.remove_code_images(None, SHARES.tournament)) == 3
    assert not sandbox.api.images(filters={"label": [f"{CODE_TOURNAMENT}={SHARES.tournament}"]}, all=True)


def test_no_chain_of_images_grows_beyond_what_an_engine_bears(sandbox, bench, shared, monkeypatch) -> None:
    monkeypatch.setattr(code_image, "_MOST_DEEP", 2)
    found = []
    for text in ("1", "2", "3", "4"):
        found.append(layers(sandbox, as_entry(bench, text)))
        sandbox.remove_code_images({as_entry(bench, str(int(text) - 1)).digest})
        sandbox._ready.clear()
    assert [len(one) - len(found[0]) for one in found] == [0, 1, 2, 0]


@pytest.mark.parametrize("change", [
    {"weights": b"v"}, {"entry_point": "weights.bin"}, {"rules": dataclasses.replace(SHARES, tournament="other@x")},
    {"rules": dataclasses.replace(SHARES, secret=1)}])
def test_nothing_is_shared_with_what_differs_in_more(sandbox, bench, change) -> None:
    """A file, which of them is made executable, the tournament, and a tag that is none of this tournament's."""
    one, other = as_entry(bench, "one"), as_entry(bench, "two", **change)
    try:
        assert len(layers(sandbox, one)) == len(layers(sandbox, other))
    finally:
        sandbox.remove_code_images({one.digest, other.digest})
        sandbox._ready.clear()


def test_a_base_on_which_nothing_can_be_made_is_the_submissions_fault(sandbox, bench, monkeypatch) -> None:
    """Unless a known good image fails the same way."""
    sandbox.prepare(bench.program(BASH + "true"))
    response = Response()
    response.status_code = 500

    def refuse(*_: object, **__: Any) -> None:
        raise APIError("refused", response, "max depth exceeded")

    monkeypatch.setattr(sandbox.api, "commit", refuse)
    with pytest.raises(ImageUnavailableError, match="max depth"):
        sandbox.prepare(bench.program(BASH + "true # deep"))
    monkeypatch.setattr(sandbox.api, "put_archive", refuse)
    with pytest.raises(EngineError):
        sandbox.prepare(bench.program(BASH + "true # deep"))
