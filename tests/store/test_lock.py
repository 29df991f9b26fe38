from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest

from harness.errors import StoreError
from harness.store.lock import writer_lock


def test_the_second_is_told_who_holds_it(tmp_path) -> None:
    with writer_lock(tmp_path / "state"), pytest.raises(StoreError, match=f"process {os.getpid()}"), \
            writer_lock(tmp_path / "state"):
        pass


def test_it_can_be_taken_again_after_it_was_let_go(tmp_path) -> None:
    for _ in range(3):
        with writer_lock(tmp_path):
            pass


def test_an_error_inside_lets_it_go(tmp_path) -> None:
    with pytest.raises(KeyError), writer_lock(tmp_path):
        raise KeyError
    with writer_lock(tmp_path):
        pass


def test_a_process_that_died_holds_nothing(tmp_path) -> None:
    code = ("import os, pathlib, sys\nfrom harness.store.lock import writer_lock\n"
            "with writer_lock(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "run.lock").read_text()
    with writer_lock(tmp_path):
        assert (tmp_path / "run.lock").read_text() == str(os.getpid())


def test_programs_that_are_started_do_not_inherit_it(tmp_path) -> None:
    with writer_lock(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        # A kernel lets the parent of a vfork go on a moment before it closes the child's files.
        with contextlib.suppress(StoreError), writer_lock(tmp_path):
            break
    else:
        pytest.fail("the child holds the lock")
    child.communicate(b"\n")


def test_a_place_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="not writable"), writer_lock(tmp_path / "file" / "state"):
        pass
