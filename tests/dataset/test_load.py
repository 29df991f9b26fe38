import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from harness.dataset import load as dataset
from harness.dataset import pixel_cache as dataset_pixels
from harness.dataset.digest import Record, dataset_digest
from harness.errors import ConfigError, DatasetError
from harness.formats.images import encode_png
from harness.formats.threats import largest_bound
from harness.tracks import Threat

SIZE = (6, 4)
LABELS = (1, 10)
TALL = np.zeros((6, 4, 3), np.uint8)


def write_dataset(root: Path, count: int = 7) -> list[Record]:
    rng = np.random.default_rng(0)
    records = [
        Record(f"img{index:02d}", 1 + index % 10, 1 + (index + 1) % 10, rng.integers(0, 256, (4, 6, 3), np.uint8))
        for index in range(count)
    ]
    (root / "images").mkdir(parents=True)
    for record in records:
        (root / "images" / f"{record.image_id}.png").write_bytes(encode_png(record.pixels))
    write_csv(root, [("ImageId", "TrueLabel", "TargetClass"), *(record[:3] for record in reversed(records))])
    describe(root, digest=dataset_digest(LABELS, SIZE, records))
    return records


def write_csv(root: Path, rows) -> None:
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def describe(root: Path, **changes) -> None:
    values = {"name": "tiny", "label_low": 1, "label_high": 10, "width": 6, "height": 4, "classes": []}
    path = root / "dataset.yaml"
    if path.exists():
        values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(values | changes))


@pytest.fixture(params=["in memory", "mapped", "unwritable"])
def storage(request, monkeypatch):
    if request.param != "in memory":
        monkeypatch.setattr(dataset_pixels, "SMALL_BYTES", 0)
    if request.param == "unwritable":
        def refuse(*arguments, **options):
            raise PermissionError(13, "no")
        monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    return request.param


def test_load_and_batches(tmp_path, storage):
    records = write_dataset(tmp_path / "d")
    for _ in range(2):
        loaded = dataset.load(tmp_path / "d")
        assert loaded.ids == tuple(f"img{index:02d}" for index in range(7))
        assert (loaded.name, loaded.label_range, loaded.size, loaded.classes) == ("tiny", LABELS, SIZE, ())
        batches = loaded.batches(3, [4, 8])
        assert [(batch.index, len(batch.ids), batch.bound) for batch in batches] == [(0, 3, 4), (1, 3, 8), (2, 1, 4)]
        for batch in batches:
            expected = records[batch.index * 3 : batch.index * 3 + 3]
            pixels = loaded.pixels(batch)
            assert np.array_equal(pixels, np.stack([record.pixels for record in expected]))
            assert not pixels.flags.writeable
            assert type(pixels) is np.ndarray
            assert batch.labels.tolist() == [record.label for record in expected]
            assert batch.targets.tolist() == [record.target for record in expected]
            assert batch.labels.dtype == batch.targets.dtype == np.int32


def test_digests_of_batches(tmp_path):
    write_dataset(tmp_path / "d")
    loaded = dataset.load(tmp_path / "d")
    (one, *_), (other, *_), (again, *_) = (loaded.batches(3, [epsilon]) for epsilon in (4, 8, 4))
    assert one.clean_digest == other.clean_digest
    assert one.task_digest != other.task_digest
    assert one.task_digest == again.task_digest
    assert len({batch.clean_digest for batch in loaded.batches(3, [4])}) == 3
    # Version 0.1.0's, whose results count.
    targets = ",".join(map(str, one.targets.tolist()))
    assert one.task_digest == hashlib.sha256(f"task {one.clean_digest} 4\n{targets}".encode()).hexdigest()


def test_a_batch_under_several_threats(tmp_path):
    write_dataset(tmp_path / "d")
    loaded = dataset.load(tmp_path / "d")
    bounds = {Threat.LINF: (4, 8), Threat.L2: (4,), Threat.PATCH: (2, 3, 4), Threat.UNRESTRICTED: (255,)}
    batches = loaded.batches(3, bounds)
    for batch, alone in zip(batches, loaded.batches(3, [4, 8]), strict=True):
        assert batch.task_digest == alone.task_digest
        assert batch.threats == tuple(bounds)
        for threat in Threat:
            given = batch.under(threat)
            assert (given.threat, given.bound) == (threat, bounds[threat][batch.index % len(bounds[threat])])
            assert given.ids == batch.ids
    digests = [batch.under(threat).task_digest for batch in batches for threat in Threat]
    assert len(set(digests)) == len(digests)
    (alone, *_) = loaded.batches(3, {Threat.L2: (4,)})
    assert (alone.threats, alone.task_digest) == ((Threat.L2,), batches[0].under(Threat.L2).task_digest)


@pytest.mark.parametrize(("threat", "bound"), [(Threat.PATCH, max(SIZE)), (Threat.L2, largest_bound(Threat.L2, SIZE))])
def test_a_bound_beyond_any_change_is_refused(tmp_path, threat, bound):
    write_dataset(tmp_path / "d")
    loaded = dataset.load(tmp_path / "d")
    assert loaded.batches(3, {threat: (1, bound)})
    with pytest.raises(ConfigError, match=f"rules.threats.{threat}: {bound + 1} is more than images of"):
        loaded.batches(3, {threat: (1, bound + 1)})


def test_cache_is_used_and_follows_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_pixels, "SMALL_BYTES", 0)
    root = tmp_path / "d"
    write_dataset(root)
    dataset.load(root)
    read = []
    black = np.zeros((4, 6, 3), np.uint8)
    monkeypatch.setattr(dataset_pixels, "read_image", lambda *arguments: read.append(arguments) or black)
    dataset.load(root)
    assert not read
    (root / "images" / "img03.png").write_bytes(encode_png(np.zeros((4, 6, 3), np.uint8)))
    with pytest.raises(DatasetError, match="digest"):
        dataset.load(root)
    assert len(read) == 7


@pytest.mark.parametrize("damage", ["{}", "[]", "not json", '{"stamp": 3, "images": null, "digest": ""}'])
def test_damaged_cache_is_made_again(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(dataset_pixels, "SMALL_BYTES", 0)
    write_dataset(tmp_path / "d")
    first = dataset.load(tmp_path / "d")
    (tmp_path / "d" / ".cache" / "stamp.json").write_text(damage)
    second = dataset.load(tmp_path / "d")
    batch = second.batches(100, [4])[0]
    assert np.array_equal(first.pixels(batch), second.pixels(batch))


def other_pixel(root):
    (root / "images" / "img00.png").write_bytes(encode_png(np.zeros((4, 6, 3), np.uint8)))


def header(*rows):
    return lambda root: write_csv(root, [("ImageId", "TrueLabel", "TargetClass"), *rows])


def add(root, line):
    path = root / "dataset.yaml"
    path.write_text(f"{path.read_text()}{line}\n")


def replace(root, old, new):
    path = root / "dataset.yaml"
    path.write_text(path.read_text().replace(old, new))


FAULTS = {
    "pixels changed": (other_pixel, "does not match the digest"),
    "label changed": (lambda root: write_csv(root, [("ImageId", "TrueLabel", "TargetClass"), ("img00", 5, 6)]), "digest"),
    "no directory": (lambda root: root.rename(root.parent / "gone"), "is not there"),
    "no yaml": (lambda root: (root / "dataset.yaml").unlink(), r"dataset\.yaml cannot be read"),
    "yaml is a list": (lambda root: (root / "dataset.yaml").write_text("- a\n"), "key: value"),
    "yaml is broken": (lambda root: (root / "dataset.yaml").write_text("{"), "cannot be read"),
    "yaml is not text": (lambda root: (root / "dataset.yaml").write_bytes(b"\xff\xff"), "cannot be read"),
    "field missing": (lambda root: (root / "dataset.yaml").write_text("name: x\n"), "`digest` is wrong"),
    "a field twice": (lambda root: add(root, "width: 6"), r"dataset\.yaml cannot be read: line \d+: `width` appears twice"),
    "a slip of the pen": (lambda root: add(root, "license: x"), r"line \d+: unknown field license"),
    "an octal size": (lambda root: replace(root, "width: 6", "width: 06"), "`06` is octal in YAML 1.1"),
    "a size as text": (lambda root: replace(root, "width: 6", "width: '6'"), "`width` is wrong: it must be a whole number"),
    "a class that is a number": (lambda root: describe(root, classes=["a", 1]), "`classes.1` is wrong: it must be text, not `1`"),
    "classes that are no list": (lambda root: describe(root, classes="ab"), "`classes` is wrong: it must be a list"),
    "bad digest": (lambda root: describe(root, digest="x"), "`digest` is wrong"),
    "label range upside down": (lambda root: describe(root, label_low=11), "`label_high` is below"),
    "label range too high": (lambda root: describe(root, label_high=32767), "`label_high` is wrong"),
    "no csv": (lambda root: (root / "metadata.csv").unlink(), r"metadata\.csv: it cannot be read"),
    "no column": (lambda root: write_csv(root, [("ImageId", "TrueLabel")]), "no column TargetClass"),
    "empty csv": (lambda root: write_csv(root, []), "no column ImageId"),
    "no rows": (header(), "names no image"),
    "short row": (header(("a", 1)), "row 2 has too few columns"),
    "duplicate": (header(("a", 1, 2), ("a", 1, 2)), "row 3 repeats the ImageId a"),
    "label out of range": (header(("a", 0, 2)), r"row 2 has the label 0, outside of 1\.\.10"),
    "target out of range": (header(("a", 1, 11)), r"row 2 has the label 11"),
    "label is no integer": (header(("a", "1.0", 2)), "not an integer"),
    "id climbs": (header(("../a", 1, 2)), "not a plain file name"),
    "image missing": (lambda root: (root / "images" / "img03.png").unlink(), r"img03\.png cannot be read"),
    "image damaged": (lambda root: (root / "images" / "img03.png").write_bytes(b"x"), r"img03\.png cannot be decoded"),
    "wrong size": (lambda root: (root / "images" / "img03.png").write_bytes(encode_png(TALL)), "not 6x4"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_one_sentence(tmp_path, fault):
    change, words = FAULTS[fault]
    root = tmp_path / "d"
    write_dataset(root)
    change(root)
    with pytest.raises(DatasetError, match=words) as caught:
        dataset.load(root)
    assert "\n" not in str(caught.value)
    assert caught.value.next_step


def test_columns_are_found_by_name(tmp_path):
    root = tmp_path / "d"
    records = write_dataset(root)
    rows = [("URL", "TargetClass", "x", "ImageId", "TrueLabel"), *(("u", r.target, "", r.image_id, r.label) for r in records)]
    write_csv(root, rows)
    assert dataset.load(root).labels.tolist() == [record.label for record in records]
