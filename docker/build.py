#!/usr/bin/env python3
"""Build the base images: ``docker/build.py [light|full|NAME ...]``, NAME being any directory here with a Dockerfile.

Every image carries a digest of what it was made from as a label, so that a second call only asks the engine (a few tenths of a
second). Each image is built from the one that its Dockerfile names as ``ARG BASE``, which is made first. What an image has from
the repository (the SDK; from the full one on, the samples' common code in ``field_kit``) has a label of its own: where only that
changed, an image of gigabytes gets a layer of kilobytes. A last label is the image's identity: the same files and the same versions
of all packages give the same one on any day and machine. Needs Python's standard library and pip.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import base_image
import wheelhouse

from harness.sandbox.image_rules import IDENTITY_LABEL, SEAL_LABEL, seal

ROOT = Path(__file__).resolve().parent.parent
LABEL = "harness.build.digest"
SDK_LABEL = "harness.build.sdk"
OURS = re.compile(r"localhost/harness-([\w-]+):1")
#: Images that are made of a distribution's packages, not of a Dockerfile.
ROOTS = {"base", "xenial"}
SKIPPED = {"__pycache__", "README.md"}
#: Prints what is installed in an image, and in which version: Python itself, its packages, the distribution's.
INSTALLED = r"""
from __future__ import print_function
import platform, re
try:
    from importlib.metadata import distributions
    packages = {"%s==%s" % (one.metadata["Name"], one.version) for one in distributions()}
except ImportError:
    import pkg_resources
    packages = {"%s==%s" % (one.project_name, one.version) for one in pkg_resources.working_set}
try:
    dpkg = open("/var/lib/dpkg/status", "rb").read().decode("utf-8", "replace")
except IOError:
    dpkg = ""
debs = re.findall(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)", dpkg, re.M)
print(platform.machine(), platform.python_version(), *sorted(" ".join(deb) for deb in debs), sep="\n")
print(*sorted(packages), sep="\n")
"""


def tag(name: str) -> str:
    """The image's name."""
    return f"localhost/harness-{name}:1"


def dockerfile(name: str) -> str:
    """The text of an image's Dockerfile.

    Raises:
        BaseImageError: There is none.
    """
    path = ROOT / "docker" / name / "Dockerfile"
    if not path.is_file():
        known = ", ".join(sorted(found.parent.name for found in path.parent.parent.glob("*/Dockerfile")))
        message = f"There is no docker/{name}/Dockerfile; known are {known}."
        raise base_image.BaseImageError(message)
    return path.read_text()


def parent(name: str) -> str:
    """The image that a Dockerfile is built from; our own base for the light one, whose default is a registry's."""
    found = re.search(r"^ARG BASE=(\S+)", dockerfile(name), re.MULTILINE)
    if not found:
        message = f"docker/{name}/Dockerfile has no line ARG BASE=..., so what to build it from is unknown."
        raise base_image.BaseImageError(message)
    return tag("base") if found.group(1) == base_image.SLIM else found.group(1)


def packages(name: str, *, alone: bool = False) -> list[str]:
    """What pip installs in an image: the words that are no options, so that the Dockerfile alone says it.

    Args:
        name: The image.
        alone: What is installed without what it depends on, else what is installed with it.
    """
    text = re.sub(r"^#.*$", "", dockerfile(name), flags=re.MULTILINE).replace("\\\n", " ")
    calls = [shlex.split(words) for words in re.findall(r"pip install\b([^\n&;]*)", text)]
    return [word for call in calls if ("--no-deps" in call) == alone for word in call if not word.startswith("-")]


def inspected(reference: str) -> dict[str, Any] | None:
    """What the engine says of an image, None where there is no such image."""
    done = subprocess.run(["docker", "image", "inspect", reference], capture_output=True, text=True, check=False)
    found: dict[str, Any] | None = None if done.returncode else json.loads(done.stdout)[0]
    return found


def image_label(reference: str, name: str) -> str | None:
    """One label of an image, empty where it lacks it, None where there is no such image."""
    found = inspected(reference)
    return None if found is None else str((found["Config"].get("Labels") or {}).get(name, ""))


def image_id(reference: str) -> str:
    """What a name stands for, empty where it stands for nothing."""
    command = ["docker", "image", "inspect", "--format={{.Id}}", reference]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def digest(*parts: bytes | str) -> str:
    """A digest over parts in order."""
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(joined).hexdigest()[:32]


def carried(name: str) -> list[Path]:
    """The files that an image has from the repository: the SDK, and with torch the samples' common code."""
    below = lineage([name])
    files = [ROOT / "harness/__init__.py", ROOT / "harness/sdk.py"] if "light" in below else []
    return files + (sorted((ROOT / "field_kit").glob("*.py")) if "full" in below else [])


@functools.cache
def sdk_digest(name: str) -> str:
    """A digest of these files as they were when this program started; empty for an image of others that has none."""
    files = carried(name)
    return digest(*[path.read_bytes() for path in [*files, ROOT / "docker/sdk/Dockerfile"]]) if files else ""


def content(name: str) -> str:
    """A digest of what an image is made from, the SDK aside."""
    if name in ROOTS:
        return image_label(tag(name), LABEL) or "pulled"
    # Besides its own: what it copies from another image's directory, such as a start-up hook, and the nets' loader.
    copied = re.findall(r"^COPY (docker/\S+|lite_nets) ", dockerfile(name), re.MULTILINE)
    folders = {ROOT / "docker" / name, *(ROOT / path for path in copied)}
    found = {path for folder in folders for path in folder.rglob("*") if path.is_file() and not SKIPPED & set(path.parts)}
    files = sorted(found)
    below = OURS.fullmatch(parent(name))
    return digest(content(below.group(1)) if below else parent(name), *[path.read_bytes() for path in files])


def identity(name: str, reference: str) -> str:
    """What an image is: its files, those it has from the repository, the versions of what is installed.

    Not the harness's version, which changes no run.
    """
    files = [path.read_bytes() for path in carried(name) if path != ROOT / "harness/__init__.py"]
    return digest(content(name), *files, python_says(reference, INSTALLED))


def docker_build(name: str, recipe: Path, *, target: str = "", **arguments: str) -> None:
    """Run one build; the engine's output goes to stderr."""
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()] + ([f"--target={target}"] if target else [])
    options.append(f"--label={LABEL}={content(name)}")
    command = ["docker", "build", "--network=host", *options, f"--tag={tag(name)}", f"--file={recipe}", str(ROOT)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def put_labels(name: str, reference: str) -> None:
    """Say on an image what it is, as the last step: what it lacks after a kill is made again.

    An image made from it by hand inherits the labels, so one of them seals its layers.
    """
    found = inspected(reference) or {}
    labels = {LABEL: content(name), SDK_LABEL: sdk_digest(name), IDENTITY_LABEL: identity(name, reference), SEAL_LABEL: seal(found)}
    options = [f"--label={key}={value}" for key, value in labels.items()]
    subprocess.run(["docker", "build", "-q", *options, f"--tag={reference}", "-"], check=True, stdout=subprocess.DEVNULL,
                   input=f"FROM {reference}\n", text=True)


def python_says(image: str, program: str) -> str:
    """What an image's Python prints."""
    which = 'exec "$(command -v python3 || command -v python)" -c "$0"'
    command = ["docker", "run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", which, program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def ensure_root(name: str, *, pull: bool) -> None:
    """Pull or make what an image is built on, once."""
    if image_label(tag(name), LABEL) is not None:
        return
    if name == "xenial":
        base_image.make(tag(name), LABEL, base_image.XENIAL, base_image.XENIAL_PACKAGES)
    elif pull and base_image.pull():
        subprocess.run(["docker", "tag", base_image.SLIM, tag(name)], check=True)
    else:
        base_image.make(tag(name), LABEL)


def current(name: str) -> bool:
    """Whether an image is there, made from what lies here now, and labelled as such."""
    found = inspected(tag(name))
    if found is None:
        return False
    labels = found["Config"].get("Labels") or {}
    return [labels.get(key) for key in (LABEL, SDK_LABEL, SEAL_LABEL)] == [content(name), sdk_digest(name), seal(found)]


def ensure(name: str, *, cpu: bool) -> bool:
    """Build one image where it is missing or out of date; True where it was built."""
    if current(name):
        return False
    libraries = tag(f"{name}-libraries")
    if image_label(libraries, LABEL) != content(name):
        recipe = ROOT / "docker" / name / "Dockerfile"
        old = {image_id(tag(name)), image_id(libraries)}
        python = python_says(parent(name), "import sys; print('%d.%d' % sys.version_info[:2])")
        alone = packages(name, alone=True)
        with wheelhouse.wheels(packages(name), python, cpu=cpu, alone=alone) as directory, wheelhouse.served(directory) as url:
            docker_build(name, recipe, BASE=parent(name), PIP_FIND_LINKS=url, PIP_NO_INDEX="1")
        subprocess.run(["docker", "tag", tag(name), libraries], check=True)
        for ident in old - {image_id(libraries), ""}:
            # Gigabytes that no name leads to any more. The engine refuses where something is still built on them.
            subprocess.run(["docker", "image", "rm", ident], capture_output=True, check=False)
    if carried(name):
        target = "full" if "full" in lineage([name]) else "light"
        docker_build(name, ROOT / "docker/sdk/Dockerfile", target=target, BASE=libraries)
    put_labels(name, tag(name))
    return True


def lineage(names: list[str]) -> list[str]:
    """The named images and all of ours below them, lowest first, without what those are built on."""
    order: list[str] = []
    for name in names:
        below = OURS.fullmatch(parent(name))
        above = lineage([below.group(1)]) if below and below.group(1) not in ROOTS else []
        order += [each for each in [*above, name] if each not in order]
    return order


def build(names: list[str], *, pull: bool, cpu: bool) -> None:
    """Bring the named images up to date, saying what was done."""
    order = lineage(names)
    for root in sorted(ROOTS):
        if any(parent(name) == tag(root) for name in order):
            ensure_root(root, pull=pull)
    for name in order:
        start = time.monotonic()
        if inspected(tag(name)) is not None and not current(name):
            print(f"{tag(name)} is out of date: what it is made from has changed.", file=sys.stderr)
        built = ensure(name, cpu=cpu)
        what = f"built in {time.monotonic() - start:.0f} s" if built else "up to date"
        print(f"{tag(name)}: {what}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Build what is asked for; exit 2 where a person has to act."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["light", "full"], help="directories of docker/ (default: light full)")
    parser.add_argument("--no-pull", action="store_true", help="never ask a registry")
    parser.add_argument("--gpu", action=argparse.BooleanOptionalAction, default=shutil.which("nvidia-smi") is not None,
                        help="CUDA builds of torch (default: when nvidia-smi is there)")
    options = parser.parse_args(arguments)
    if shutil.which("docker") is None:
        print("No Docker engine answers: the docker command is not installed.\nInstall docker.io, then run this again.",
              file=sys.stderr)
        return 2
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False, text=True)
    if asked.returncode:
        said = (asked.stderr.strip().splitlines() or ["it says nothing"])[-1]
        print(f"No Docker engine answers: {said}\nRun `harness doctor`, do what it says, then run this again.", file=sys.stderr)
        return 2
    (ROOT / ".cache").mkdir(exist_ok=True)
    try:
        with (ROOT / ".cache" / "docker-build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            build(options.names, pull=not options.no_pull, cpu=not options.gpu)
    except base_image.BaseImageError as error:
        print(error, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"`{' '.join(map(str, error.cmd[:3]))} ...` failed with exit code {error.returncode}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
