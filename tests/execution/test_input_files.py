from __future__ import annotations

import threading

import numpy as np
import pytest

from harness.execution import input_files
from harness.execution.input_files import FILE_TIME_S, InputFiles, Layout
from harness.formats.images import decode

PIXELS = np.random.default_rng(3).integers(0, 256, (5, 4, 6, 3), np.uint8)


def laid_out(made: InputFiles, directory, positions=range(5), key: str = "k", pixels=PIXELS) -> Layout:
    directory.mkdir()
    layout = Layout.draw(np.isin(np.arange(len(pixels)), list(positions)))
    made.stage_files(key, lambda: pixels, layout, directory)
    return layout


def test_names_say_nothing_and_never_repeat() -> None:
    names = Layout.draw(np.ones(1000, bool)).names
    assert len(set(names)) == 1000
    assert all(len(name) == 20 and name.endswith(".png") for name in names)


def test_each_image_lies_under_its_name(tmp_path) -> None:
    made = InputFiles(tmp_path / "cache")
    layout = laid_out(made, tmp_path / "in", [4, 0, 2])
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == sorted(layout.names)
    assert sorted(layout.positions) == [0, 2, 4]
    for name, position in zip(layout.names, layout.positions, strict=True):
        assert np.array_equal(decode((tmp_path / "in" / name).read_bytes(), (6, 4)).pixels, PIXELS[position])


def test_nothing_but_pixels_tells_the_files_apart(tmp_path) -> None:
    made = InputFiles(tmp_path / "cache")
    laid_out(made, tmp_path / "in")
    facts = {(path.stat().st_size, path.stat().st_mtime, path.stat().st_mode) for path in (tmp_path / "in").iterdir()}
    assert len(facts) == 1
    assert {time for _, time, _ in facts} == {FILE_TIME_S}


def test_inode_numbers_do_not_follow_the_order_of_the_images(tmp_path) -> None:
    made = InputFiles(tmp_path / "cache")
    born = []
    real = input_files._copy

    def copied(source, target) -> None:
        born.append(target.name)
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_files, "_copy", copied)
        layout = laid_out(made, tmp_path / "in", range(30), pixels=np.zeros((30, 2, 2, 3), np.uint8))
    assert born == sorted(layout.names) == list(layout.names)
    assert layout.positions.tolist() != sorted(layout.positions)


def test_no_two_runs_share_an_inode(tmp_path) -> None:
    """Locks, watches and link counts belong to inodes: a shared one is a way to talk."""
    made = InputFiles(tmp_path / "cache")
    for run in ("one", "two"):
        laid_out(made, tmp_path / run)
    facts = [path.stat() for path in tmp_path.rglob("*.png")]
    assert len({found.st_ino for found in facts}) == len(facts) == 15  # the cache's own among them
    assert {found.st_nlink for found in facts} == {1}


def test_a_program_that_spoils_its_input_spoils_no_other(tmp_path) -> None:
    made = InputFiles(tmp_path / "cache")
    first = laid_out(made, tmp_path / "one")
    for name in first.names:
        (tmp_path / "one" / name).chmod(0o644)
        (tmp_path / "one" / name).write_bytes(b"spoilt")
    for name in laid_out(made, tmp_path / "two").names:
        assert (tmp_path / "two" / name).read_bytes() != b"spoilt"


def test_an_input_is_loaded_and_encoded_once(tmp_path, monkeypatch) -> None:
    encoded = []
    monkeypatch.setattr(input_files, "encode_png", lambda pixels: encoded.append(1) or b"png")
    made = InputFiles(tmp_path / "cache")
    loads = []
    threads = []
    for number in range(8):
        directory = tmp_path / f"in{number}"
        directory.mkdir()
        arguments = ("k", lambda: loads.append(1) or PIXELS, Layout.draw(np.ones(5, bool)), directory)
        threads.append(threading.Thread(target=made.stage_files, args=arguments))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len(encoded) == 5


def test_a_failed_load_is_tried_again(tmp_path) -> None:
    made = InputFiles(tmp_path / "cache")

    def failing():
        raise OSError("a bad sector")

    (tmp_path / "in").mkdir()
    layout = Layout.draw(np.ones(1, bool))
    with pytest.raises(OSError, match="bad sector"):
        made.stage_files("k", failing, layout, tmp_path / "in")
    made.stage_files("k", lambda: PIXELS, layout, tmp_path / "in")
    assert (tmp_path / "in" / layout.names[0]).exists()


def test_files_and_pixels_are_bounded_oldest_out_first(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(input_files, "_FILE_CACHE_BYTES", 2000)
    monkeypatch.setattr(input_files, "_PIXEL_CACHE_BYTES", PIXELS.nbytes * 2)
    made = InputFiles(tmp_path / "cache")
    for number in range(6):
        laid_out(made, tmp_path / f"in{number}", key=f"k{number}")
    kept = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert "k5" in kept
    assert "k0" not in kept
    assert len(made._pixels) <= 2
    # What was laid out stays laid out: it is a copy.
    assert len(list((tmp_path / "in0").iterdir())) == 5
    laid_out(made, tmp_path / "again", key="k0")
