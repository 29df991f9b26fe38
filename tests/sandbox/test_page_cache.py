"""What of an image's files is in memory before a container starts: everything, whoever read what before."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

import pytest

from harness.sandbox.docker import page_cache
from harness.sandbox.docker.page_cache import PageCache

SIZE = 3 << 20


class Engine:
    """Knows one image of two layers."""

    def __init__(self, *layers: Path) -> None:
        upper, lower = layers
        self.data = {"UpperDir": str(upper), "LowerDir": str(lower)}

    def inspect_image(self, image: str) -> dict:
        return {"Id": image, "GraphDriver": {"Name": "overlay2", "Data": self.data}}


@pytest.fixture
def layers(tmp_path) -> list[Path]:
    found = [tmp_path / "upper", tmp_path / "lower"]
    for layer in found:
        (layer / "deep").mkdir(parents=True)
        (layer / "deep" / "weights").write_bytes(os.urandom(SIZE))
        (layer / "link").symlink_to("/etc/passwd")
        os.mkfifo(layer / "pipe")
    return found


@pytest.fixture
def readings(monkeypatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(page_cache, "read_ahead", lambda layer: told.append(layer.name))
    monkeypatch.setattr(page_cache, "taken_back", lambda: 7)
    return told


def put_out(layer: Path) -> None:
    """Put a layer's files out of memory."""
    for path, _ in page_cache._files(layer):
        number = os.open(path, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def resident(path: Path) -> int:
    """How many pages of a file are in memory."""
    pages = -(-path.stat().st_size // mmap.PAGESIZE)
    told = ctypes.create_string_buffer(pages)
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file:
        libc.mmap.restype = ctypes.c_void_p
        at = ctypes.c_void_p(libc.mmap(None, ctypes.c_size_t(path.stat().st_size), mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(),
                                       ctypes.c_long(0)))
        assert libc.mincore(at, ctypes.c_size_t(path.stat().st_size), told) == 0
        libc.munmap(at, ctypes.c_size_t(path.stat().st_size))
    return sum(byte & 1 for byte in told.raw)


def test_every_page_of_every_layer_is_there(layers) -> None:
    files = [layer / "deep" / "weights" for layer in layers]
    for layer in layers:
        put_out(layer)
    if any(resident(path) for path in files):
        pytest.skip("this file system keeps its pages in memory")
    PageCache(Engine(*layers)).settle("image")  # type: ignore[arg-type]
    until = time.monotonic() + 20
    while any(resident(path) < SIZE // mmap.PAGESIZE for path in files):
        assert time.monotonic() < until
        time.sleep(0.01)  # the kernel reads on its own time and tells nobody


def test_is_read_once_and_again_when_the_kernel_has_taken_pages_back(layers, readings, monkeypatch) -> None:
    cache = PageCache(Engine(*layers))  # type: ignore[arg-type]
    cache.settle("image")
    cache.settle("image")
    cache.settle("another image of the same layers")
    assert readings == ["upper", "lower"]
    monkeypatch.setattr(page_cache, "taken_back", lambda: 8)
    cache.settle("image")
    assert readings == ["upper", "lower"] * 2


def test_what_does_not_fit_is_left_alone(layers, readings, monkeypatch) -> None:
    monkeypatch.setattr(page_cache, "available_bytes", lambda: 2 * SIZE)
    PageCache(Engine(*layers)).settle("image")  # type: ignore[arg-type]
    assert readings == []


def test_layers_on_another_machine_are_left_alone(tmp_path, readings) -> None:
    PageCache(Engine(tmp_path / "no", tmp_path / "such")).settle("image")  # type: ignore[arg-type]
    assert readings == []


def test_the_kernels_counters_are_there() -> None:
    assert page_cache.available_bytes() > 1 << 20
    assert page_cache.taken_back() >= 0
