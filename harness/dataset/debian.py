"""Files out of Debian packages, without installing them and without root: fetched with apt, unpacked into a cache.

The digests are pinned here and not left to apt, so that a data set made from the files is the same one elsewhere. A package that is
in the cache already is taken from there, so a host without apt can be given the files.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DatasetError

_DISTRIBUTION = "Debian 12"


@dataclass(frozen=True)
class Package:
    """One package.

    Attributes:
        name: As apt knows it.
        version: The one version that is taken.
        sha256: Of the file.
        part: The directory within it that is unpacked, as in ``usr/share/backgrounds``.
    """

    name: str
    version: str
    sha256: str
    part: str

    @property
    def file(self) -> str:
        """The file's name, as apt writes it."""
        return f"{self.name}_{self.version}_all.deb"


def unpacked(package: Package, cache: Path, tell: Callable[[str], None] = lambda _: None) -> Path:
    """The directory that holds a package's part, fetched and unpacked where it is not there yet.

    Args:
        package: The package.
        cache: Directory that keeps both the file and what is unpacked.
        tell: Called before something is fetched.

    Raises:
        DatasetError: apt is not there or fails, or the file is another one.
    """
    place = cache / f"{package.name}_{package.version}"
    if place.is_dir():
        return place
    file = cache / package.file
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            tell(f"Fetching the Debian package {package.name}.")
            _fetch(package, cache)
        if (found := _sha256(file)) != package.sha256:
            problem = (f"{file} is not the package that the data set is made from "
                       f"(SHA-256 {found[:16]}..., not {package.sha256[:16]}...).")
            raise DatasetError(problem, f"Remove it, or put version {package.version} of {_DISTRIBUTION} there.")
        _unpack(package, file, place)
    except OSError as error:
        problem = f"{cache} cannot keep the package {package.name} ({error.strerror})."
        raise DatasetError(problem, "Free some space, or name another place with --cache.") from error
    return place


def _fetch(package: Package, cache: Path) -> None:
    if shutil.which("apt-get") is None:
        problem = f"The package {package.name} is fetched with apt-get, which is not installed."
        step = f"Put {package.file} of {_DISTRIBUTION} into {cache}, or make the data set on a Debian host and copy its directory."
        raise DatasetError(problem, step)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as directory:
        # As root, apt would download as a user who may not write here, and say so for every package.
        command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", f"{package.name}={package.version}"]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, errors="replace", check=False,
                              stdin=subprocess.DEVNULL)
        made = Path(directory) / package.file
        if done.returncode or not made.exists():
            said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["it fetched nothing"]
            problem = f"apt-get cannot fetch {package.name} {package.version} ({said[0].removeprefix('E: ')})."
            step = f"Run `apt-get update` on {_DISTRIBUTION}, or put {package.file} into {cache}."
            raise DatasetError(problem, step)
        made.rename(cache / package.file)


def _unpack(package: Package, file: Path, place: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        problem = f"{file} is unpacked with dpkg-deb, which is not installed."
        raise DatasetError(problem, "Install the package dpkg.")
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=file.parent) as directory:
        unfinished = Path(directory) / "part"
        unfinished.mkdir()
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(file)], stdout=subprocess.PIPE) as program:
            with tarfile.open(fileobj=program.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.name.removeprefix("./").startswith(f"{package.part}/"):
                        member.name = member.name.removeprefix("./").removeprefix(f"{package.part}/")
                        archive.extract(member, unfinished, filter="data")
            with suppress(OSError):
                program.stdout.read()  # type: ignore[union-attr] # what follows the archive: the program must not block on it
        with suppress(OSError):  # another build was faster
            unfinished.rename(place)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
