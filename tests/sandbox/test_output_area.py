"""Output areas, mounted and watched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.sandbox import mounts
from harness.sandbox.output_area import OutputArea, unmount_leftovers, walk_usage


def refuse(*_args) -> None:
    raise PermissionError


@pytest.fixture(params=[pytest.param("mounted", marks=pytest.mark.root), "watched"])
def area(request, tmp_path, monkeypatch):
    if request.param == "watched":
        monkeypatch.setattr(mounts, "mount_tmpfs", refuse)
    elif os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with OutputArea(tmp_path / "a b" / "out", 1 << 20, 8) as area:
        assert area.mounted is (request.param == "mounted")
        yield area
    assert not area.path.exists()
    assert mounts.ours_under(tmp_path) == []


def test_empty_at_first_and_for_all_to_write(area) -> None:
    assert list(area.path.iterdir()) == []
    assert area.path.stat().st_mode & 0o777 == 0o777
    assert area.usage() == (0, 0, False)


def test_all_that_is_allowed_is_not_too_much(area) -> None:
    (area.path / "x").write_bytes(bytes(1 << 20))
    assert area.usage() == (1 << 20, 1, False)


def test_a_byte_too_much(area) -> None:
    try:
        (area.path / "x").write_bytes(bytes((1 << 20) + 1))
    except OSError:
        assert area.mounted
    assert area.usage().full


def test_a_file_too_many(area) -> None:
    for number in range(8):
        (area.path / str(number)).touch()
    assert area.usage()[1:] == (8, False)
    (area.path / "last").mkdir()
    assert area.usage().full


def test_clear_removes_what_a_program_can_leave(area) -> None:
    deep = area.path
    for _ in range(5):
        deep /= "d" * 200
        deep.mkdir()
    (deep / "file").touch()
    (area.path / "link").symlink_to("/etc")
    os.mkfifo(area.path / "pipe")
    assert area.clear()
    assert area.usage().files == 0
    assert Path("/etc/passwd").exists()


def test_directories_nested_beyond_any_path(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(mounts, "mount_tmpfs", refuse)
    with OutputArea(tmp_path / "out", 1 << 30, 100_000) as area:
        here = os.open(area.path, os.O_RDONLY)
        for _ in range(1200):
            os.mkdir("deep", dir_fd=here)
            below = os.open("deep", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        assert area.usage().full
    assert not area.path.exists()


def test_a_sparse_file_takes_no_room(tmp_path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert walk_usage(tmp_path, 1 << 20, 10) == (0, 1, False)


@pytest.mark.root
def test_leftovers_are_unmounted_below_the_work_directory_only(tmp_path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    ours, others = OutputArea(tmp_path / "work" / "x", 1 << 20, 8), OutputArea(tmp_path / "other" / "x", 1 << 20, 8)
    with ours, others:
        (ours.path / "file").touch()
        assert unmount_leftovers(tmp_path / "work") == [f"output area {ours.path}"]
        assert mounts.ours_under(tmp_path) == [others.path]
        assert not ours.path.exists()
