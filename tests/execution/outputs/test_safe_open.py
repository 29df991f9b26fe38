import os
import socket
from pathlib import Path

import pytest

from harness.execution.outputs import safe_open as walk


@pytest.fixture
def place(tmp_path):
    (tmp_path / "out").mkdir()
    descriptor = walk.open_directory(tmp_path / "out")
    yield tmp_path / "out", descriptor
    os.close(descriptor)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)
        made.bind(path.name)
        os.chdir(here)


def sparse(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)


REFUSED = {
    "a link to a file of the host": (lambda path: path.symlink_to("/etc/hostname"), "symbolic link"),
    "a link within the output": (lambda path: path.symlink_to("other.png"), "symbolic link"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "symbolic link"),
    "a hard link": (lambda path: os.link(path.with_name("other.png"), path), "hard link"),
    "a pipe": (os.mkfifo, "pipe"),
    "a socket": (make_socket, "socket"),
    "a directory": (lambda path: path.mkdir(), "directory"),
    "too large": (lambda path: path.write_bytes(b"x" * 101), "more than 100 bytes"),
    "a sparse terabyte": (sparse, "more than 100 bytes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(place, name):
    directory, descriptor = place
    (directory / "other.png").write_bytes(b"x")
    make, words = REFUSED[name]
    make(directory / "x.png")
    with pytest.raises(walk.RefusedFileError, match=words):
        walk.read_file(descriptor, "x.png", 100)


@pytest.mark.root
def test_device_is_never_opened(place):
    directory, descriptor = place
    os.mknod(directory / "x.png", 0o600 | 0o020000, os.makedev(1, 5))
    with pytest.raises(walk.RefusedFileError, match="device"):
        walk.read_file(descriptor, "x.png", 100)


def test_regular_file_and_absent_file(place):
    directory, descriptor = place
    (directory / "x.png").write_bytes(b"x" * 100)
    assert walk.read_file(descriptor, "x.png", 100) == b"x" * 100
    assert walk.read_file(descriptor, "y.png", 100) is None


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0b"])
def test_only_plain_names_are_asked_for(place, name):
    with pytest.raises(ValueError, match="plain file name"):
        walk.read_file(place[1], name, 100)


def test_output_directory_that_is_none(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name in ("link", "file", "absent"):
        assert walk.open_directory(tmp_path / name) is None


def test_no_descriptor_is_left_open(place):
    directory, descriptor = place
    (directory / "x.png").write_bytes(b"x" * 101)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(walk.RefusedFileError):
        walk.read_file(descriptor, "x.png", 100)
    walk.read_file(descriptor, "x.png", 200)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
