from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest

from harness.errors import StoreError
from harness.formats.images import encode_perturbation, pixel_digest
from harness.store.artifacts import SURELY_DEAD_S, ArtifactStore, CorruptArtifactError, artifact_name, remove_half_written
from harness.store.blobs import FileBlobs, write_atomic


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(FileBlobs(tmp_path / "artifacts"))


def path(store: ArtifactStore, digest: str, seed: int = 0) -> Path:
    return store.blobs.path(artifact_name(digest, batch(seed)[0]))  # type: ignore[attr-defined]


def batch(seed: int = 0):
    """Clean pixels, adversarial pixels, which were produced, and their digest."""
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, (4, 5, 6, 3), np.uint8)
    produced = np.array([True, True, False, True])
    adversarial = np.clip(clean.astype(int) + rng.integers(-16, 17, clean.shape), 0, 255).astype(np.uint8)
    adversarial[~produced] = clean[~produced]
    return clean, adversarial, produced, pixel_digest(adversarial, produced)


def saved(store: ArtifactStore, seed: int = 0):
    clean, adversarial, produced, digest = batch(seed)
    store.save(digest, clean, encode_perturbation(clean, adversarial, produced))
    return clean, adversarial, produced, digest


def test_what_is_saved_comes_back_to_the_last_pixel(store) -> None:
    clean, adversarial, produced, digest = saved(store)
    found, which = store.load(digest, clean)
    assert np.array_equal(found, adversarial)
    assert np.array_equal(which, produced)
    assert store.has(digest, clean)


def test_the_same_pixels_made_of_two_batches_are_two_artifacts(store) -> None:
    black, every = np.zeros((4, 5, 6, 3), np.uint8), np.ones(4, bool)
    digest = pixel_digest(black, every)
    sources = [batch(seed)[0] for seed in (0, 1)]
    for clean in sources:
        store.save(digest, clean, encode_perturbation(clean, black, every))
    for clean in sources:
        assert not store.load(digest, clean)[0].any()


def test_one_of_version_0_1_0_is_found(store) -> None:
    clean, adversarial, _, digest = saved(store)
    path(store, digest).rename(store.blobs.path(f"{digest[:2]}/{digest}.pert"))
    assert np.array_equal(store.load(digest, clean)[0], adversarial)


def test_saving_again_writes_nothing(store) -> None:
    clean, *_, digest = saved(store)
    file = path(store, digest)
    before = file.stat()
    assert store.save(digest, clean, b"whatever") == before.st_size
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_one_that_cannot_be_read_makes_room_for_the_batch_made_anew(store) -> None:
    clean, adversarial, produced, digest = saved(store)
    path(store, digest).unlink()
    path(store, digest).mkdir()  # as unreadable as a bad sector, and for root as well
    with pytest.raises(CorruptArtifactError):
        store.load(digest, clean)
    store.save(digest, clean, encode_perturbation(clean, adversarial, produced))
    assert np.array_equal(store.load(digest, clean)[0], adversarial)


def test_every_flipped_byte_is_found(store) -> None:
    clean, _, _, digest = saved(store)
    data = path(store, digest).read_bytes()
    for position in range(0, len(data), 7):
        path(store, digest).write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1:])
        with pytest.raises(CorruptArtifactError, match=digest[:12]):
            store.load(digest, clean)


@pytest.mark.parametrize("data", [b"", b"HPT1", b"\0" * 100], ids=["empty", "head", "zeros"])
def test_a_damaged_file_is_set_aside_so_that_it_can_be_made_again(store, data) -> None:
    clean, adversarial, _, digest = saved(store)
    path(store, digest).write_bytes(data)
    with pytest.raises(CorruptArtifactError):
        store.load(digest, clean)
    assert not store.has(digest, clean)
    assert path(store, digest).with_suffix(".damaged").read_bytes() == data
    saved(store)
    assert np.array_equal(store.load(digest, clean)[0], adversarial)


def test_an_absent_file_is_as_good_as_a_damaged_one(store) -> None:
    clean, _, _, digest = batch()
    with pytest.raises(CorruptArtifactError):
        store.load(digest, clean)


def test_one_batch_behind_the_name_of_another_is_found(store) -> None:
    clean, _, _, digest = saved(store)
    *_, other = saved(store, 1)
    path(store, digest).write_bytes(path(store, other, 1).read_bytes())
    with pytest.raises(CorruptArtifactError):
        store.load(digest, clean)


@pytest.mark.parametrize(("number", "words"), [
    (errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EACCES, "cannot be written")])
def test_a_disk_that_does_not_take_it_is_told_and_nothing_stays(store, monkeypatch, number, words) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match=words):
        saved(store)
    assert not [path for path in store.blobs.root.rglob("*") if path.is_file()]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "age_s", "mine", "goes"), [
    ("ab/.harness-x1.tmp", SURELY_DEAD_S + 60, True, True),
    ("docker-pieces/sha/.harness-x1.tmp", SURELY_DEAD_S + 60, True, True),
    ("ab/.harness-x1.tmp", SURELY_DEAD_S - 60, True, False),
    ("ab/.harness-x1.tmp", -60, True, False),
    ("ab/.harness-x1.tmp", SURELY_DEAD_S + 60, False, False),
    ("ab/.somebody-x1.tmp", SURELY_DEAD_S + 60, True, False),
    ("ab/abcdef.pert", SURELY_DEAD_S + 60, True, False),
], ids=["of a killed node", "deeper", "of a living one", "by a clock that is ahead", "of another user", "of another program",
        "whole"])
def test_what_goes_from_a_directory_that_several_contests_use(tmp_path, monkeypatch, name, age_s, mine, goes) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half")
    os.utime(file, (time.time() - age_s,) * 2)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + (not mine))
    assert remove_half_written(f"file:{tmp_path}") == ([f"half-written {file}"] if goes else [])
    assert file.exists() is not goes


def test_a_file_that_is_being_written_is_named_as_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(tmp_path.rglob("*.tmp")))
    seen: list[Path] = []
    write_atomic(tmp_path / "ab" / "x.pert", b"whole")
    os.utime(tmp_path / "ab" / "x.pert", (1, 1))
    (tmp_path / "ab" / "x.pert").rename(seen[0])
    assert remove_half_written(f"file:{tmp_path}") == [f"half-written {seen[0]}"]


@pytest.mark.parametrize("fails", [
    lambda place: place.name == "ab", lambda place: place.name == "ab" and place.rmdir()], ids=["stale handle", "it vanishes"])
def test_a_directory_that_fails_while_it_is_searched_is_passed_over(tmp_path, monkeypatch, fails) -> None:
    (tmp_path / "ab").mkdir()
    half = tmp_path / "cd" / ".harness-x1.tmp"
    half.parent.mkdir()
    half.write_bytes(b"half")
    os.utime(half, (1, 1))
    scan = os.scandir

    def stale(place):
        if fails(Path(place)):
            raise OSError(errno.ESTALE, "Stale file handle")
        return scan(place)

    monkeypatch.setattr(os, "scandir", stale)
    assert remove_half_written(f"file:{tmp_path}") == [f"half-written {half}"]


@pytest.mark.parametrize("place", [None, "s3://bucket/contest", "file:/there/is/no/such/place"])
def test_nothing_goes_where_there_is_no_such_directory(place) -> None:
    assert remove_half_written(place) == []
