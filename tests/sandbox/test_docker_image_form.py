"""What is wrong with the way in which an image starts its program is said in terms of its Dockerfile, before and after a run."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from docker.errors import ImageNotFound

from harness.cli.main import cli
from harness.dataset.digits import build_digits
from harness.sandbox.base import Program
from harness.sandbox.docker import image_form
from harness.sandbox.docker.image_form import Form, problems_of_form
from harness.sandbox.outcomes import Ending

#: ENTRYPOINT, CMD, and words of the problem and of the step; None where nothing is wrong.
FORMS: dict[str, tuple[list[str], list[str], str | None, str]] = {
    "a list": (["python", "/app/main.py"], [], None, ""),
    "a program": (["/app/main"], [], None, ""),
    "a program and a CMD of options": (["/app/main"], ["--fast"], None, ""),
    "a CMD alone": ([], ["python", "main.py"], None, ""),
    "neither": ([], [], "neither an ENTRYPOINT nor a CMD", "ENTRYPOINT"),
    "ENTRYPOINT in shell form": (
        ["/bin/sh", "-c", "python main.py"], [], "ENTRYPOINT: it is in shell form (/bin/sh -c 'python main.py')",
        '["python", "main.py"]'),
    "with exec": (["/bin/sh", "-c", "exec python main.py"], [], "shell form", '["python", "main.py"]'),
    "with a CMD as well": (["/bin/sh", "-c", "python main.py"], ["x"], "shell form", "as a list"),
    "CMD in shell form": ([], ["/bin/sh", "-c", "python main.py"], "CMD: it is in shell form", "Write CMD as a list"),
    "another shell": (["/bin/bash", "-lc", "conda run main"], [], "shell form", '["conda", "run", "main"]'),
    "shell form with a pipe": (["/bin/sh", "-c", "cd /app && ./run"], [], "shell form", '["python", "/app/main.py"]'),
    "a shell that hands its arguments on": (["/bin/sh", "-c", 'exec python main.py "$@"', "--"], [], None, ""),
    "a shell that uses one": (["/bin/sh", "-c", "python main.py $0 $1"], [], None, ""),
    "an interpreter, the program in CMD": (["python"], ["main.py"], "replace the CMD main.py", '["python", "main.py"]'),
    "with an option": (["python3.11", "-u"], ["main.py"], "replace the CMD", '["python3.11", "-u", "main.py"]'),
    "an init, the program in CMD": (["/usr/bin/tini", "--"], ["python", "main.py"], "replace the CMD python main.py",
                                    '["/usr/bin/tini", "--", "python", "main.py"]'),
    "an init and an interpreter": (["tini", "--", "python"], ["main.py"], "replace the CMD", "Put all of it into ENTRYPOINT"),
    "the base image's own CMD": ([], ["python3"], "CMD: it is python3, which is no program of the image's own", "Dockerfile"),
    "a shell alone": (["/bin/bash"], [], "ENTRYPOINT: it is /bin/bash", "Dockerfile"),
    "a module": (["python", "-m", "attack"], [], None, ""),
    "through env": (["/usr/bin/env", "A=1", "python", "main.py"], [], None, ""),
    "terminal codes": (["/bin/sh", "-c", "\x1b]0;x\x07run"], [], "(/bin/sh -c ", "as a list"),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name) -> None:
    entrypoint, command, sentence, step = FORMS[name]
    found = problems_of_form(Form(entrypoint=entrypoint, command=command))
    assert len(found) == (sentence is not None)
    for problem in found:
        assert sentence in f"{problem.field_or_file}: {problem.sentence}"
        assert step in problem.next_step
        assert (problem.sentence + problem.next_step).isprintable()


def test_forms_of_any_length_cost_no_time() -> None:
    began = time.process_time()
    for word in ("a " * 500_000 + "!", "$" * 1_000_000, "{" * 1_000_000, "-" * 1_000_000, "-u" * 500_000 + "!", "python" * 200_000):
        for entrypoint in (["/bin/sh", "-c", word], [word], ["python", word], [word, word]):
            problems_of_form(Form(entrypoint=entrypoint, command=[word]))
    assert time.process_time() - began < 5


#: An attack that reads no arguments: it works in shell form.
INVERT = b"""import os
from PIL import Image, ImageOps
for name in os.listdir("/input_images"):
    ImageOps.invert(Image.open(f"/input_images/{name}").convert("RGB")).save(f"/output_images/{name}")
"""
Make = Callable[..., str]
MAIN = b"import sys\nprint(sys.argv[1:])\n"


@pytest.fixture
def make(docker_sandbox, base_image) -> Iterator[Make]:
    """An image of the base and a tree: name -> (mode, owner, content), None for a directory, text for a link."""
    api, made = docker_sandbox.api, []

    def build(tree: dict[str, tuple[int, int, bytes | str | None]], **config: Any) -> str:
        ident = api.create_container(base_image, ["true"])["Id"]
        spool = io.BytesIO()
        with tarfile.open(fileobj=spool, mode="w") as archive:
            for name, (mode, owner, content) in tree.items():
                member = tarfile.TarInfo(name)
                member.mode, member.uid, member.gid = mode, owner, owner
                if content is None:
                    member.type = tarfile.DIRTYPE
                elif isinstance(content, str):
                    member.type, member.linkname = tarfile.SYMTYPE, content
                else:
                    member.size = len(content)
                archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
        api.put_archive(ident, "/", spool.getvalue())
        made.append(api.commit(ident, conf={"Cmd": None, "Entrypoint": None, **config})["Id"])
        api.remove_container(ident, v=True)
        return made[-1]

    yield build
    for image in made:
        with contextlib.suppress(ImageNotFound):
            api.remove_image(image, force=True)


DIRECTORY = (0o755, 0, None)
SH = b"#!/bin/sh\necho it runs\n"
#: The tree, the configuration, and what is said; None where it runs.
IMAGES: dict[str, tuple[dict[str, tuple[int, int, bytes | str | None]], dict[str, Any], str | None]] = {
    "all in order": ({"app": DIRECTORY, "app/run": (0o755, 0, SH)}, {"Entrypoint": ["/app/run"]}, None),
    "through links": ({"app": DIRECTORY, "app/run": (0o755, 0, SH), "here": (0o777, 0, "app"), "go": (0o777, 0, "here/run")},
                      {"Entrypoint": ["/go"]}, None),
    "nobody's own": ({"app": (0o700, 65534, None), "app/run": (0o700, 65534, SH)}, {"Entrypoint": ["/app/run"]}, None),
    "by the working directory": (
        {"app": DIRECTORY, "app/run": (0o755, 0, SH)}, {"Entrypoint": ["./run"], "WorkingDir": "/app"}, None),
    "no right to execute": ({"app": DIRECTORY, "app/run": (0o644, 0, SH)}, {"Entrypoint": ["/app/run"]},
                            "nobody (uid 65534), who may not execute /app/run (mode 0644, owner 0)"),
    "root's alone": (
        {"app": DIRECTORY, "app/run": (0o700, 0, SH)}, {"Entrypoint": ["/app/run"]}, "who may not execute /app/run (mode 0700"),
    "in root's directory": (
        {"app": (0o700, 0, None), "app/run": (0o755, 0, SH)}, {"Entrypoint": ["/app/run"]}, "who may not enter /app "),
    "a script that nobody may read": (
        {"app": DIRECTORY, "app/main.py": (0o600, 0, MAIN)}, {"Entrypoint": ["python3", "-u", "main.py"], "WorkingDir": "/app"},
        "who may not read /app/main.py (mode 0600, owner 0)"),
    "a script that is not there": ({}, {"Entrypoint": ["python3", "/app/main.py"]}, "/app/main.py is not in the image"),
    "a program that is not there": ({}, {"Entrypoint": ["/app/run"]}, "/app/run is not in the image"),
    "a program that is not on PATH": ({}, {"Entrypoint": ["attack-it"]}, "no program 'attack-it' on its PATH"),
    "a directory": ({"app": DIRECTORY}, {"Entrypoint": ["/app"]}, "/app is a directory"),
    "below a volume": ({"app": DIRECTORY, "app/run": (0o755, 0, SH)}, {"Entrypoint": ["/app/run"], "Volumes": {"/app": {}}},
                       "/app/run lies below /app, which is empty in a run"),
    "a shell form": ({}, {"Entrypoint": ["/bin/sh", "-c", "python3 -c 'import sys; sys.argv[1]'"]}, "shell form"),
    "a CMD that is replaced": (
        {"app": DIRECTORY, "app/main.py": (0o644, 0, MAIN)}, {"Entrypoint": ["python3"], "Cmd": ["/app/main.py"]},
        "the arguments replace the CMD /app/main.py"),
}


@pytest.mark.docker
@pytest.mark.parametrize("name", IMAGES)
def test_of_a_real_image_it_is_said_before_and_after_a_run(name, make, docker_sandbox, bench) -> None:
    tree, configuration, sentence = IMAGES[name]
    image = make(tree, **configuration)
    containers = len(docker_sandbox.api.containers(all=True, filters={"ancestor": image}))
    found = docker_sandbox.image_problems(image)
    assert containers == len(docker_sandbox.api.containers(all=True, filters={"ancestor": image}))
    report = bench.run(docker_sandbox, Program(f"form{image}", image, None, None, "strict"))
    if sentence is None:
        assert found == []
        assert report.stdout == "it runs\n"
        assert not report.detail  # it wrote nothing, and how it is started is not why
    else:
        (problem,) = found
        assert sentence in problem.sentence
        assert problem.next_step
        assert report.ending is Ending.START_FAILED or report.exit_code
        assert sentence in report.detail


@pytest.mark.docker
@pytest.mark.parametrize("configuration", [
    {"Entrypoint": ["/" + "a/" * 1000 + "run"]},
    {"Entrypoint": ["no-such-program"], "Env": ["PATH=" + ":".join(f"/usr/{number}" for number in range(5000))]},
    {"Entrypoint": ["/app/run"], "Volumes": {f"/v{number}": {} for number in range(300)}}], ids=["deep", "PATH", "volumes"])
def test_an_authors_image_costs_a_bounded_look_and_leaves_nothing(configuration, make, docker_sandbox) -> None:
    deep = {"/".join("a" * depth): DIRECTORY for depth in range(1, 1001)}
    image = make(deep if "a/a" in configuration["Entrypoint"][0] else {}, **configuration)
    volumes = len(docker_sandbox.api.volumes()["Volumes"] or [])
    descriptors = len(os.listdir("/proc/self/fd"))
    began = time.monotonic()
    docker_sandbox.image_problems(image)
    assert time.monotonic() - began < 15
    assert len(os.listdir("/proc/self/fd")) < descriptors + 20
    assert len(docker_sandbox.api.volumes()["Volumes"] or []) < volumes + 100  # others use the engine meanwhile


@pytest.mark.docker
def test_root_without_its_rights_may_not_read_what_is_another_users(make, docker_sandbox) -> None:
    tree = {"app": (0o700, 1000, None), "app/run": (0o700, 1000, SH)}
    image = make(tree, Entrypoint=["/app/run"], Labels={"harness.profile": "legacy"})
    (problem,) = docker_sandbox.image_problems(image)
    assert "root without capabilities, who may not enter /app " in problem.sentence


@pytest.mark.docker
def test_a_cmd_that_was_replaced_is_named_where_a_run_failed(make, docker_sandbox, bench) -> None:
    tree = {"app": DIRECTORY, "app/run": (0o755, 0, b'#!/bin/sh\nexec "$@"\n')}
    image = make(tree, Entrypoint=["/app/run"], Cmd=["echo", "it runs"])
    assert docker_sandbox.image_problems(image) == []
    report = bench.run(docker_sandbox, Program(f"form{image}", image, None, None, "strict"))
    assert report.exit_code
    assert report.detail == "The arguments replaced the image's CMD echo 'it runs'."


@pytest.mark.docker
def test_validate_and_submit_say_it(make, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tournament.yaml").write_text("name: t\ndataset: d\nworkers: {gpus: none}\n")
    image = make({}, Entrypoint=["/bin/sh", "-c", "python3 main.py"], Labels={"harness.type": "attack", "harness.name": "shell"})
    for command, code in ((["validate", "--static", image], 2), (["submit", image], 0)):
        assert (cli.main(command, standalone_mode=False) or 0) == code
        told = " ".join("".join(capfd.readouterr()).split())
        assert "ENTRYPOINT: it is in shell form (/bin/sh -c 'python3 main.py')" in told
        assert 'as a list, one word each: ["python3", "main.py"]' in told


@pytest.mark.docker
@pytest.mark.parametrize(("script", "code"), [
    ("python3 -c 'import sys; print(sys.argv[1])'", 2),
    ("python3 /app/invert.py", 0)])
def test_validate_counts_the_form_only_where_it_does_not_work(make, tmp_path, monkeypatch, capfd, script, code) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tournament.yaml").write_text("name: t\ndataset: dataset/digits\nworkers: {gpus: none}\nrules: {batch_size: 2}\n")
    build_digits(tmp_path / "dataset" / "digits")
    image = make({"app": DIRECTORY, "app/invert.py": (0o644, 0, INVERT)}, Entrypoint=["/bin/sh", "-c", script],
                 Labels={"harness.type": "attack", "harness.name": "shell"})
    assert (cli.main(["validate", "--sandbox", "docker", image], standalone_mode=False) or 0) == code
    assert "it is in shell form" in "".join(capfd.readouterr())


def test_an_engine_that_does_not_tell_is_no_problem_of_the_image() -> None:
    class Silent:
        def inspect_image(self, reference: str) -> None:
            raise TimeoutError

    assert image_form.problems(Silent(), "x") == []  # type: ignore[arg-type]
    assert image_form.said_of_a_failure(Silent(), "x", "strict") == ""  # type: ignore[arg-type]
