"""One contract over a directory and an object store: written once, checked whenever it is read; then what each does in trouble."""

from __future__ import annotations

import hashlib
import os
import sys

import numpy as np
import pytest

from harness.config import load as load_config
from harness.dataset.load import load
from harness.errors import ConfigError, StoreError
from harness.store import objects
from harness.store.artifacts import open_blobs
from harness.store.blobs import Blobs, CachedBlobs, DamagedError, FileBlobs, damaged_name
from harness.store.objects import ObjectBlobs
from harness.store.transfer import FetchedCode, StoredPixels, publish_code, publish_pixels
from harness.submission import code_tree
from tests.e2e import make
from tests.object_server import ObjectServer

NAME = "ab/abcdef.pert"


def good(data: bytes) -> str:
    """What the contents of these tests are checked with."""
    if not data.startswith(b"good"):
        raise DamagedError("it is not good")
    return data.decode()


@pytest.fixture(params=["file", "object", "cached object"])
def blobs(request, tmp_path) -> Blobs:
    if request.param == "file":
        return FileBlobs(tmp_path / "store")
    server: ObjectServer = request.getfixturevalue("object_server")
    far = ObjectBlobs(server.place())
    return far if request.param == "object" else CachedBlobs(far, FileBlobs(tmp_path / "near"))


def test_what_is_saved_is_there_and_comes_back(blobs) -> None:
    assert not blobs.has(NAME)
    assert blobs.save(NAME, b"good one") == 8
    assert blobs.has(NAME)
    assert blobs.load(NAME, good) == "good one"


def test_the_first_writer_stays(blobs) -> None:
    blobs.save(NAME, b"good one")
    assert blobs.save(NAME, b"good other") == 8
    assert blobs.load(NAME, good) == "good one"


def test_what_is_absent_is_said_to_be_damaged(blobs) -> None:
    with pytest.raises(DamagedError):
        blobs.load(NAME, good)
    blobs.set_aside(NAME)


def test_a_damaged_content_makes_room_for_the_one_made_anew_and_is_kept(blobs) -> None:
    blobs.save(NAME, b"bad")
    with pytest.raises(DamagedError, match="not good"):
        blobs.load(NAME, good)
    assert not blobs.has(NAME)
    assert blobs.load(damaged_name(NAME), bytes.decode) == "bad"
    blobs.save(NAME, b"good again")
    assert blobs.load(NAME, good) == "good again"


def test_what_others_store_is_found(tmp_path, object_server) -> None:
    """Two machines, each with copies of its own."""
    one, other = (CachedBlobs(ObjectBlobs(object_server.place()), FileBlobs(tmp_path / name)) for name in ("one", "other"))
    one.save(NAME, b"good one")
    assert other.load(NAME, good) == "good one"
    object_server.requests.clear()
    assert (one.load(NAME, good), other.load(NAME, good)) == ("good one", "good one")
    assert object_server.requests == []


def test_a_damaged_copy_is_fetched_again(tmp_path, object_server) -> None:
    near = FileBlobs(tmp_path / "near")
    blobs = CachedBlobs(ObjectBlobs(object_server.place()), near)
    blobs.save(NAME, b"good one")
    near.path(NAME).write_bytes(b"bad")
    assert blobs.load(NAME, good) == "good one"
    assert near.path(NAME).read_bytes() == b"good one"


def test_copies_stay_within_their_limit_also_after_a_restart(tmp_path) -> None:
    far, near = FileBlobs(tmp_path / "far"), FileBlobs(tmp_path / "near")
    first = CachedBlobs(far, near, limit=20)
    for number in range(3):
        first.save(f"a/{number}", b"good%5d" % number)
    kept = {path.name for path in near.root.rglob("*") if path.is_file()}
    assert kept == {"1", "2"}
    second = CachedBlobs(far, near, limit=20)
    second.load("a/0", good)
    assert len([path for path in near.root.rglob("*") if path.is_file()]) == 2
    assert all(far.has(f"a/{number}") for number in range(3))


def test_a_full_disk_costs_the_copy_and_not_the_content(tmp_path, monkeypatch) -> None:
    far, near = FileBlobs(tmp_path / "far"), FileBlobs(tmp_path / "near")

    def full(name: str, data: bytes) -> int:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(near, "save", full)
    blobs = CachedBlobs(far, near)
    blobs.save(NAME, b"good one")
    assert blobs.load(NAME, good) == "good one"


@pytest.mark.parametrize("faults", [
    [("PUT", "500 Internal Server Error")] * 2, [("PUT", "503 Slow Down")], [("PUT", "409 Conflict")] * 2,
], ids=["500", "503", "409"])
def test_a_write_that_is_refused_for_now_is_made_again(object_server, faults) -> None:
    """A 409 says that two writers met, not that either has written: what is not there after it is written again."""
    blobs = ObjectBlobs(object_server.place())
    object_server.faults = list(faults)
    assert blobs.save(NAME, b"good one") == 8
    assert object_server.faults == []
    assert blobs.load(NAME, good) == "good one"


def test_a_write_that_always_meets_another_is_an_error_in_the_end(object_server) -> None:
    blobs = ObjectBlobs(object_server.place())
    object_server.faults = [("PUT", "409 Conflict")] * 100
    with pytest.raises(StoreError, match="another writer each time"):
        blobs.save(NAME, b"good one")


def test_a_read_that_fails_for_now_is_made_again(object_server) -> None:
    blobs = ObjectBlobs(object_server.place())
    blobs.save(NAME, b"good one")
    object_server.faults = [("GET", "500 Internal Server Error")] * 2
    assert blobs.load(NAME, good) == "good one"


def test_a_store_that_refuses_is_a_sentence_and_damages_nothing(object_server) -> None:
    blobs = ObjectBlobs(object_server.place())
    blobs.save(NAME, b"good one")
    object_server.down = True
    for act in (lambda: blobs.load(NAME, good), lambda: blobs.save("other", b"good"), lambda: blobs.has(NAME)):
        with pytest.raises(StoreError, match="cannot be used") as caught:
            act()
        assert "\n" not in str(caught.value)
    object_server.down = False
    assert blobs.load(NAME, good) == "good one"


def test_a_bucket_that_is_not_there_is_found_at_once(object_server) -> None:
    with pytest.raises(StoreError, match="s3://no-such-bucket/contest"):
        ObjectBlobs("s3://no-such-bucket/contest")


def test_without_the_library_it_says_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match=r"harness\[cluster\]"):
        open_blobs("s3://bucket/contest", tmp_path)


def test_nothing_of_it_is_imported_unless_asked(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(objects, "ObjectBlobs", None)
    assert isinstance(open_blobs(None, tmp_path), FileBlobs)
    assert open_blobs(None, tmp_path).root == tmp_path / "artifacts"  # type: ignore[attr-defined]
    assert open_blobs("file:/shared/contest", tmp_path).root.as_posix() == "/shared/contest"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("written", "kept"), [
    ("s3://bucket", "s3://bucket"), ("s3://bucket/2026/final", "s3://bucket/2026/final"), ("gs://b/c", "gs://b/c"), ("az://b/c", "az://b/c"),
    ("file:/shared/x", "file:/shared/x"), ("file:shared", "file:{here}/shared")])
def test_places_for_artifacts(tmp_path, written, kept) -> None:
    file = tmp_path / "tournament.yaml"
    file.write_text(f"name: t\ndataset: d\nstore: {{artifacts: '{written}'}}\n")
    assert load_config(file).store.artifacts == kept.format(here=tmp_path)


@pytest.mark.parametrize("written", [
    "", "s3:", "s3://", "file:", "file:/", "/shared", "http://bucket/x", "s3://b/../c", "s3://b//c", "s3://b/ c"])
def test_what_is_no_place_for_artifacts(tmp_path, written) -> None:
    file = tmp_path / "tournament.yaml"
    file.write_text(f"name: t\ndataset: d\nstore: {{artifacts: '{written}'}}\n")
    with pytest.raises(ConfigError, match=r"store\.artifacts: .*s3://BUCKET/PREFIX"):
        load_config(file)


def code(root):
    """A directory with everything that counts of one."""
    (root / "empty").mkdir(parents=True)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "deep" / "er" / "weights").write_bytes(os.urandom(1000))
    (root / os.fsdecode(b"na\xffme")).write_bytes(b"")
    (root / "link").symlink_to("deep/er")
    return code_tree.digest(root)


def test_code_comes_over_as_it_was(blobs, tmp_path) -> None:
    digest = code(tmp_path / "code")
    publish_code(blobs, tmp_path / "code", digest)
    place = FetchedCode(blobs, tmp_path / "elsewhere")(digest)
    assert code_tree.digest(place) == digest
    assert code_tree.walk(place) == code_tree.walk(tmp_path / "code")
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == [digest]


def test_a_file_that_two_submissions_share_goes_once(tmp_path) -> None:
    blobs = FileBlobs(tmp_path / "store")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"w" * 1000)
        (tmp_path / name / "own").write_text(name)
        publish_code(blobs, tmp_path / name, code_tree.digest(tmp_path / name))
    assert len([path for path in (tmp_path / "store" / "files").rglob("*") if path.is_file()]) == 3


@pytest.mark.parametrize("which", ["code", "files", "images"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: b"", None],
                         ids=["flipped", "empty", "absent"])
def test_what_was_damaged_in_the_store_is_not_used_and_published_again(tmp_path, which, damage) -> None:
    blobs = FileBlobs(tmp_path / "store")
    digest = code(tmp_path / "code")
    dataset = load(make.dataset(tmp_path / "data", 4))
    (batch,) = dataset.batches(10, [16])

    def publish() -> None:
        publish_code(blobs, tmp_path / "code", digest)
        publish_pixels(blobs, batch, dataset.pixels(batch))

    def fetch() -> None:
        if which == "images":
            assert np.array_equal(StoredPixels(blobs).pixels(batch), dataset.pixels(batch))
        else:
            assert code_tree.digest(FetchedCode(blobs, tmp_path / "elsewhere")(digest)) == digest

    publish()
    for path in sorted(path for path in (tmp_path / "store" / which).rglob("*") if path.is_file()):
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()) if path.stat().st_size else b"x")
    with pytest.raises(StoreError, match="cannot be fetched from the store"):
        fetch()
    assert not (tmp_path / "elsewhere" / digest).exists()
    while True:  # an attempt finds one damaged file
        publish()
        try:
            fetch()
        except StoreError:
            continue
        break


def test_code_that_changed_is_not_published(tmp_path) -> None:
    digest = code(tmp_path / "code")
    (tmp_path / "code" / "more").write_text("")
    with pytest.raises(StoreError, match="no longer what was submitted"):
        publish_code(FileBlobs(tmp_path / "store"), tmp_path / "code", digest)
    assert not (tmp_path / "store").exists()


def test_the_text_that_a_digest_is_taken_of_names_everything(tmp_path) -> None:
    digest = code(tmp_path / "code")
    text = code_tree.contents(tmp_path / "code")
    assert hashlib.sha256(text).hexdigest() == digest
    named = [node for node, _ in code_tree.listed(text)]
    assert [(n.path, n.kind, n.executable, n.target) for n in named] == [
        (n.path, n.kind, n.executable, n.target) for n in code_tree.walk(tmp_path / "code")]
