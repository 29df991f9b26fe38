"""Wheels for an image, fetched by the host's pip and served to `docker build` on the loopback address.

Why not let pip inside the build ask the index itself: it would need the host's index configuration, its certificates (behind a
TLS-inspecting proxy) and possibly its credentials, and `docker history` shows every build argument for ever. The host's pip
has all of that already, and its cache, so that the virtual environment and the image download torch once. Rejected besides:
copying the wheels into the build context, which stores gigabytes twice, and BuildKit mounts, which older engines lack.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import platform
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import base_image

#: Holds CPU builds of torch *and* the torchvision that matches: a tenth of the CUDA build's size.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a directory without writing a line per request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing; pip's own output tells what it fetched."""


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve a directory on the loopback address, yielding its URL."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def cpu_index_answers() -> bool:
    """Whether the CPU builds can be had here (an index that does not resolve must not cost pip's retries)."""
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torchvision/", timeout=5):  # noqa: S310 - a constant, https
            return True
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def wheels(packages: Sequence[str], python: str, *, cpu: bool, alone: Sequence[str] = ()) -> Iterator[Path]:
    """Fetch wheels for an image into a directory that is removed afterwards.

    Args:
        packages: Requirements.
        python: Version of the image's Python, such as ``3.11``.
        cpu: Take torch's CPU builds where they can be had.
        alone: Requirements whose own requirements are left out.

    Raises:
        BaseImageError: This Python has no pip.
    """
    if packages and importlib.util.find_spec("pip") is None:
        message = f"{sys.executable} has no pip: run `make setup`, then .venv/bin/python docker/build.py."
        raise base_image.BaseImageError(message)
    with tempfile.TemporaryDirectory(prefix="harness-wheels-") as directory:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        if python == here:
            command = [*pip, "wheel", "-w", directory]
        else:
            tags = [f"--platform=manylinux_2_{minor}_{platform.machine()}" for minor in (28, 27, 24, 17)]
            tags.append(f"--platform=manylinux2014_{platform.machine()}")
            if python == "2.7":
                # Ubuntu's Python 2 has wide characters, which is part of the wheels' names.
                tags = [f"--platform=manylinux1_{platform.machine()}", "--implementation=cp", "--abi=cp27mu"]
            command = [*pip, "download", "-d", directory, "--only-binary=:all:", f"--python-version={python}", *tags]
        if cpu and "torch" in packages and cpu_index_answers():
            command.append(f"--extra-index-url={CPU_INDEX}")
        if packages:
            subprocess.run([*command, *packages], check=True, stdin=subprocess.DEVNULL)
        if alone:
            subprocess.run([*command, "--no-deps", *alone], check=True, stdin=subprocess.DEVNULL)
        yield Path(directory)
