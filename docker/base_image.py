"""The image below all others: python:3.11-slim where a registry answers, else Debian's or Ubuntu's own Python, made here.

An air-gapped host has no registry, but it has its distribution's package mirror; debootstrap makes a root directory from it and
``docker import`` an image of that. Mirror and suite are the host's own, read from its apt configuration when needed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mirror:
    """Where the host's own packages come from."""

    uri: str
    suite: str
    components: str


SLIM = "python:3.11-slim"
PACKAGES = "python3-minimal,python3-pip,ca-certificates"
#: The system that most entries of 2017 were written on. Its packages are signed; debootstrap looks where it has Ubuntu's keyring.
XENIAL = Mirror("http://archive.ubuntu.com/ubuntu", "xenial", "main")
XENIAL_PACKAGES = "python2.7,python-minimal,python-yaml,libgomp1"
#: A registry that is there answers within this, download of 45 MB included; one that is not can hang on a firewall.
PULL_LIMIT_S = 300


class BaseImageError(Exception):
    """The base can be neither pulled nor made here; the message says what to do."""


def pull(limit_s: float = PULL_LIMIT_S) -> bool:
    """Pull the slim image; False where that is not possible."""
    try:
        done = subprocess.run(
            ["docker", "pull", "-q", SLIM], capture_output=True, stdin=subprocess.DEVNULL, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _stanzas(text: str) -> list[dict[str, str]]:
    """The fields of a deb822 file's stanzas, names in lower case."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        fields = dict(line.split(":", 1) for line in lines if ":" in line and not line[0].isspace())
        found.append({name.strip().lower(): value.strip() for name, value in fields.items()})
    return found


def _one_line(text: str) -> list[tuple[str, list[str], list[str]]]:
    """(URI, suites, components) of each ``deb`` line of a classic sources.list."""
    matches = re.findall(r"^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", text, flags=re.MULTILINE)
    return [(uri, [suite], components.split()) for uri, suite, components in matches]


def host_mirror(apt: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release")) -> Mirror:
    """The mirror of the host's own distribution and release.

    Raises:
        BaseImageError: The host is no Debian or Ubuntu, or its sources do not name its release.
    """
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release.read_text() if os_release.exists() else "", re.MULTILINE))
    suite = release.get("VERSION_CODENAME", "")
    sources: list[tuple[str, list[str], list[str]]] = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.is_file():
            sources += _one_line(path.read_text())
        elif path.suffix == ".sources" and path.is_file():
            sources += [
                (stanza["uris"].split()[0], stanza["suites"].split(), stanza.get("components", "").split())
                for stanza in _stanzas(path.read_text())
                if "uris" in stanza and "suites" in stanza and "deb" in stanza.get("types", "").split()
            ]
    for uri, suites, components in sources:
        if suite and suite in suites and "main" in components:
            # Ubuntu keeps pip in universe.
            wanted = "main,universe" if release.get("ID") == "ubuntu" else "main"
            return Mirror(uri, suite, wanted)
    message = f"No package source for this host's release ({suite or 'unknown'}) is configured in {apt}."
    raise BaseImageError(message)


def _apt_proxy() -> dict[str, str]:
    """Environment that hands apt's own proxy setting to debootstrap, which asks wget."""
    if shutil.which("apt-config") is None:
        return {}
    dump = subprocess.run(["apt-config", "dump", "Acquire::http::Proxy"], capture_output=True, text=True, check=False)
    match = re.search(r'Acquire::http::Proxy "([^"]+)"', dump.stdout)
    return {"http_proxy": match.group(1)} if match and match.group(1) != "DIRECT" else {}


def make(tag: str, label: str, mirror: Mirror | None = None, packages: str = PACKAGES) -> None:
    """Make a base without a registry and import it as ``tag``, its origin's digest in ``label``.

    Args:
        tag: The image's name.
        label: Name of the label.
        mirror: Where its packages come from; the host's own distribution by default.
        packages: What it holds besides the essential ones, separated by commas.

    Raises:
        BaseImageError: Not root, no debootstrap, or no mirror; the message says which.
    """
    if platform.system() != "Linux" or os.geteuid() != 0:
        message = f"{tag} cannot be pulled, and making a base image with debootstrap needs root: run this with sudo."
        raise BaseImageError(message)
    if shutil.which("debootstrap") is None:
        message = f"{tag} cannot be pulled and debootstrap is not installed: apt-get install debootstrap."
        raise BaseImageError(message)
    mirror = mirror or host_mirror()
    with tempfile.TemporaryDirectory(prefix="harness-base-") as directory:
        root = Path(directory) / "root"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", f"--components={mirror.components}",
             mirror.suite, str(root), mirror.uri],
            check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, **_apt_proxy()},
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
            message = f"debootstrap could not make {tag} from {mirror.uri} ({mirror.suite}): {last}"
            raise BaseImageError(message)
        made_from = hashlib.sha256(f"{mirror.suite} {packages}".encode()).hexdigest()[:32]
        _import(root, tag, f"{label}={made_from}")


def _import(root: Path, tag: str, label: str) -> None:
    """Turn a root directory into an image, without what only the package manager needs and without this host's names."""
    drop = ["./var/cache/apt/archives/*", "./var/lib/apt/lists/*", "./var/log/*", "./usr/share/doc/*", "./usr/share/man/*",
            "./usr/share/locale/*", "./etc/hostname", "./etc/resolv.conf", "./etc/apt/sources.list*"]  # fmt: skip
    changes = ['CMD ["python3"]', "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ENV LANG=C.UTF-8",
               f"LABEL {label}"]  # fmt: skip
    options = [part for change in changes for part in ("--change", change)]
    tar = subprocess.Popen(
        ["tar", "-C", str(root), "-c", *[f"--exclude={pattern}" for pattern in drop], "."], stdout=subprocess.PIPE
    )
    subprocess.run(["docker", "import", *options, "-", tag], check=True, stdin=tar.stdout, stdout=subprocess.DEVNULL)
    if tar.wait() != 0:
        message = f"tar could not read {root}."
        raise BaseImageError(message)
