import json
import os
import zipfile

import pytest

from harness.errors import EngineError, ImageUnavailableError
from harness.submission.entry_file import host_architecture
from harness.submission.load import ImageInfo
from harness.submission.static_checks import check

METADATA = {"type": "attack", "container": "localhost/harness-light:1", "entry_point": "run.sh"}
HERE = host_architecture()
OTHER = {"amd64": "arm64"}.get(HERE, "amd64")
OTHER_MACHINE = {"amd64": 62, "arm64": 183}[OTHER]


@pytest.fixture
def entry(tmp_path):
    root = tmp_path / "noise"
    root.mkdir()
    (root / "metadata.json").write_text(json.dumps(METADATA))
    (root / "run.sh").write_bytes(b"#!/bin/bash\nexit 0\n")
    (root / "run.sh").chmod(0o755)
    return root


def metadata(root, **changes):
    fields = {key: value for key, value in {**METADATA, **changes}.items() if value is not None}
    (root / "metadata.json").write_text(json.dumps(fields))


def script(data):
    return lambda root: (root / "run.sh").write_bytes(data)


def as_directory(root):
    (root / "run.sh").unlink()
    (root / "run.sh").mkdir()


def as_link_out(root):
    (root / "run.sh").unlink()
    (root / "run.sh").symlink_to("/bin/ls")


def bad_helper(root):
    (root / "lib").mkdir()
    (root / "lib" / "helper.py").write_bytes(b"#!/usr/bin/env python3\r\nprint()\r\n")


ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + OTHER_MACHINE.to_bytes(2, "little") + bytes(100)
FAULTS = {
    "none": (lambda root: None, []),
    "python by env": (script(b"#!/usr/bin/env python3\n"), []),
    "interpreter of its own": (script(b"#!/code/run.sh\n"), []),
    "no metadata": (lambda root: (root / "metadata.json").unlink(), ["metadata.json: it cannot be read"]),
    "not JSON": (lambda root: (root / "metadata.json").write_text("{"), ["metadata.json: it is not JSON"]),
    "no type": (lambda root: metadata(root, type=None), ["type: the field is missing"]),
    "no container": (lambda root: metadata(root, container=None), ["container: the field is missing"]),
    "no entry point": (lambda root: metadata(root, entry_point=None), ["entry_point: the field is missing"]),
    "unknown type": (lambda root: metadata(root, type="Attack"), ["type: 'Attack' is not one of"]),
    "entry point climbs": (lambda root: metadata(root, entry_point="../run.sh"), ["entry_point: '../run.sh' is not in"]),
    "entry point absent": (lambda root: (root / "run.sh").unlink(), ["run.sh: the entry point does not exist"]),
    "entry point is a directory": (as_directory, ["run.sh: the entry point is a directory"]),
    "entry point leads out": (as_link_out, ["run.sh: it leads out", "leads out of the submission"]),
    "no exec bit": (lambda root: (root / "run.sh").chmod(0o644), []),
    "no exec bit, strict": (
        lambda root: (metadata(root, profile="strict"), (root / "run.sh").chmod(0o644)), ["run.sh: it is not executable"]),
    "CRLF": (script(b"#!/bin/bash\r\nexit 0\r\n"), ["run.sh: its first line ends in CRLF"]),
    "CRLF in a helper": (bad_helper, ["lib/helper.py: its first line ends in CRLF"]),
    "no interpreter": (script(b"import sys\n"), ["run.sh: it is neither a program nor a script"]),
    "empty": (script(b""), ["run.sh: it is empty"]),
    "empty interpreter": (script(b"#!\n"), ["run.sh: its first line names no interpreter"]),
    "byte-order mark": (script(b"\xef\xbb\xbf#!/bin/sh\n"), ["run.sh: a byte-order mark"]),
    "author's own interpreter": (script(b"#!/home/me/miniconda3/bin/python\n"), ["author's own machine"]),
    "Windows interpreter": (script(b"#!C:\\Python\\python.exe\n"), ["author's own machine"]),
    "relative interpreter": (script(b"#!python3\n"), ["not an absolute path"]),
    "env alone": (script(b"#!/usr/bin/env\n"), ["says `env` without a program"]),
    "interpreter of its own, absent": (script(b"#!/code/bin/python\n"), ["'/code/bin/python' is not there"]),
    "another architecture": (script(ELF), [f"run.sh: it is a program for {OTHER}"]),
    "a pipe in it": (lambda root: os.mkfifo(root / "pipe"), ["is neither a file nor a directory"]),
    "name": (lambda root: metadata(root, name="a b"), ["name: 'a b' is not a name"]),
    "many": (
        lambda root: (metadata(root, type="x", container=None, team=""), bad_helper(root)),
        ["container:", "type:", "team:", "lib/helper.py: its first line"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_problem_is_named(entry, fault):
    make, expected = FAULTS[fault]
    make(entry)
    problems = check(entry)
    told = [f"{problem.field_or_file}: {problem.sentence}" for problem in problems]
    assert len(told) == len(expected), told
    for line, words in zip(told, expected, strict=True):
        assert words in line
    assert all(problem.next_step for problem in problems)


def test_archive(entry, tmp_path):
    with zipfile.ZipFile(tmp_path / "noise.zip", "w") as packed:
        packed.writestr("noise/metadata.json", json.dumps({**METADATA, "profile": "strict"}))
        packed.writestr("noise/run.sh", "#!/bin/bash\n")
    assert [problem.sentence for problem in check(tmp_path / "noise.zip")] == ["it is not executable."]
    (tmp_path / "bad.zip").write_bytes(b"x")
    (problem,) = check(tmp_path / "bad.zip")
    assert "damaged" in problem.sentence


def test_directory_whose_name_is_none(entry):
    entry = entry.rename(entry.with_name("my entry"))
    (problem,) = check(entry)
    assert problem.field_or_file == "name"
    metadata(entry, name="fine")
    assert check(entry) == []


def image(arch=HERE, **labels):
    return lambda reference: ImageInfo("sha256:" + "0" * 64, labels, arch)


def test_images(entry):
    assert check(entry, base_info=image()) == []
    assert check("robust:1", image_info=image(**{"harness.type": "defense"})) == []
    assert check("robust:1", type="defense", image_info=image()) == []


def test_image_of_another_architecture(entry):
    looked_up = image(OTHER, **{"harness.type": "defense"})
    for source in (entry, "robust:1"):
        (problem,) = check(source, image_info=looked_up, base_info=looked_up)
        assert OTHER in problem.sentence


def test_image_without_type_or_engine():
    assert "has no `harness.type` label" in check("robust:1", image_info=image())[0].sentence
    assert "no Docker engine" in check("robust:1")[0].sentence


@pytest.mark.parametrize("error", [ImageUnavailableError("x cannot be pulled.", "Build it."), EngineError("It died.")])
def test_image_that_is_absent(entry, error):
    def absent(reference):
        raise error

    (problem,) = check(entry, base_info=absent)
    assert (problem.field_or_file, problem.sentence) == ("container", error.problem)


def test_source_that_is_absent(tmp_path):
    (problem,) = check(tmp_path / "absent")
    assert "is not there" in problem.sentence


def test_large_directory(entry):
    with (entry / "weights.bin").open("wb") as file:
        file.truncate(5 << 30)
    (problem,) = check(entry)
    assert "5.0 GiB" in problem.sentence


def test_an_image_for_gpus_is_no_problem_where_there_is_none(entry):
    def look_up(reference):
        if reference == "gone:gpu":
            raise ImageUnavailableError("The Docker image 'gone:gpu' is not on this host.", "Name another.")
        return ImageInfo("sha256:" + "0" * 64, {}, HERE)

    metadata(entry, container_gpu="gone:gpu")
    unused = []
    assert [problem.field_or_file for problem in check(entry, base_info=look_up)] == ["container_gpu"]
    assert check(entry, base_info=look_up, without_gpu=unused) == []
    assert [problem.field_or_file for problem in unused] == ["container_gpu"]
