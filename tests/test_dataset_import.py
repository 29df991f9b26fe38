import csv

import numpy as np
import pytest
import yaml
from PIL import Image

from harness import dataset, dataset_write
from harness.dataset_import import import_csv, import_folder, verify
from harness.errors import DatasetError

RNG = np.random.default_rng(0)
#: The header of the 2017 files.
HEADER = ["ImageId", "URL", "x1", "y1", "x2", "y2", "TrueLabel", "TargetClass", "OriginalLandingURL", "License", "Author",
          "AuthorProfileURL"]


def picture(path, width=20, height=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def csv_2017(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for name, label, target in rows:
            writer.writerow([name, "http://x", 0, 0, 1, 1, label, target, "u", "CC", "Someone, é", "p"])
    return path


@pytest.fixture
def images(tmp_path):
    for name in ("b", "a"):
        picture(tmp_path / "images" / f"{name}.png")
    picture(tmp_path / "images" / "c.bmp")
    (tmp_path / "images" / "readme.txt").write_text("no image")
    return tmp_path / "images"


def test_csv_of_2017(tmp_path, images):
    path = csv_2017(tmp_path / "dev.csv", [("b", 1000, 1), ("a", 1, 1000), ("c", 305, 883)])
    import_csv(images, path, tmp_path / "sets" / "dev", size=(20, 20))
    loaded = dataset.load(tmp_path / "sets" / "dev")
    assert loaded.ids == ("a", "b", "c")
    assert loaded.labels.tolist() == [1, 1000, 305]
    assert loaded.targets.tolist() == [1000, 1, 883]
    assert (loaded.name, loaded.label_range, loaded.size) == ("dev", (1, 1000), (20, 20))
    batch = loaded.batches(100, [4])[0]
    assert np.array_equal(loaded.pixels(batch)[0], np.asarray(Image.open(images / "a.png")))
    assert not verify(tmp_path / "sets" / "dev")
    assert [found.name for found in (tmp_path / "sets").iterdir()] == ["dev"]


def test_label_offset(tmp_path, images):
    path = csv_2017(tmp_path / "dev.csv", [("a", 0, 999)])
    import_csv(images, path, tmp_path / "dev", size=(20, 20), label_offset=1)
    loaded = dataset.load(tmp_path / "dev")
    assert (loaded.labels.tolist(), loaded.targets.tolist()) == ([1], [1000])


def test_crop_around_the_centre(tmp_path):
    pixels = picture(tmp_path / "images" / "a.png", width=40, height=20)
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2)])
    import_csv(tmp_path / "images", path, tmp_path / "same", size=(20, 20))
    loaded = dataset.load(tmp_path / "same")
    assert np.array_equal(loaded.pixels(loaded.batches(9, [4])[0])[0], pixels[:, 10:30])
    import_csv(tmp_path / "images", path, tmp_path / "small", size=(5, 8))
    assert dataset.load(tmp_path / "small").size == (5, 8)


def test_folder(tmp_path):
    for name in ("dog", "ant", "cat"):
        for index in range(30):
            picture(tmp_path / "folder" / name / f"{index}.png", 30, 25)
    (tmp_path / "folder" / ".hidden").mkdir()
    import_folder(tmp_path / "folder", tmp_path / "one", size=(8, 8), seed=1)
    loaded = dataset.load(tmp_path / "one")
    assert loaded.classes == ("ant", "cat", "dog")
    assert loaded.label_range == (0, 2)
    assert np.bincount(loaded.labels).tolist() == [30, 30, 30]
    assert (loaded.labels != loaded.targets).all()
    assert set(loaded.targets.tolist()) == {0, 1, 2}
    assert all(len(set(batch.labels.tolist())) == 3 for batch in loaded.batches(30, [4]))
    import_folder(tmp_path / "folder", tmp_path / "again", size=(8, 8), seed=1)
    import_folder(tmp_path / "folder", tmp_path / "other", size=(8, 8), seed=2)
    assert dataset.load(tmp_path / "again").digest == loaded.digest
    assert dataset.load(tmp_path / "other").digest != loaded.digest
    assert not verify(tmp_path / "one")


FAULTS = {
    "image missing": ([("z", 1, 2), ("y", 1, 2)], "no image y and 1 more"),
    "duplicate": ([("a", 1, 2), ("a", 1, 2)], "repeats the ImageId a"),
    "label out of range": ([("a", 0, 2)], "the label 0, outside of 1..1000"),
    "target out of range": ([("a", 1, 1001)], "the label 1001"),
    "no rows": ([], "names no image"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_csv(tmp_path, images, fault):
    rows, words = FAULTS[fault]
    path = csv_2017(tmp_path / "dev.csv", rows)
    with pytest.raises(DatasetError, match=words):
        import_csv(images, path, tmp_path / "sets" / "dev", size=(20, 20))
    assert not (tmp_path / "sets").exists()


def test_unreadable_image_leaves_nothing(tmp_path, images):
    (images / "b.png").write_bytes(b"x")
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2), ("b", 1, 2)])
    with pytest.raises(DatasetError, match=r"b\.png cannot be decoded"):
        import_csv(images, path, tmp_path / "sets" / "dev", size=(20, 20))
    assert not list((tmp_path / "sets").iterdir())


def test_two_files_of_one_name(tmp_path, images):
    picture(images / "a.bmp")
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2)])
    with pytest.raises(DatasetError, match=r"both a\.bmp and a\.png"):
        import_csv(images, path, tmp_path / "dev")


def test_place_that_is_taken(tmp_path, images):
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2)])
    with pytest.raises(DatasetError, match="is there already"):
        import_csv(images, path, images, size=(20, 20))
    (tmp_path / "empty").mkdir()
    import_csv(images, path, tmp_path / "empty", size=(20, 20))
    assert dataset.load(tmp_path / "empty").ids == ("a",)


@pytest.mark.parametrize(("options", "words"), [
    ({"size": (0, 5)}, "0x5"), ({"size": (100_000, 100_000)}, "pixels"), ({"label_range": (5, 4)}, "label range"),
    ({"label_range": (0, 40_000)}, "label range"),
])
def test_impossible_options(tmp_path, images, options, words):
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2)])
    with pytest.raises(DatasetError, match=words):
        import_csv(images, path, tmp_path / "dev", **options)


def test_folder_without_classes(tmp_path, images):
    with pytest.raises(DatasetError, match="0 directories"):
        import_folder(images, tmp_path / "d")
    (images / "x").mkdir()
    (images / "y").mkdir()
    with pytest.raises(DatasetError, match="holds no image"):
        import_folder(images, tmp_path / "d")
    with pytest.raises(DatasetError, match="not a directory"):
        import_folder(tmp_path / "absent", tmp_path / "d")


def test_full_disk_is_one_sentence(tmp_path, images, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset_write, "_write_metadata", full)
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2)])
    with pytest.raises(DatasetError, match="No space left"):
        import_csv(images, path, tmp_path / "sets" / "dev", size=(20, 20))
    assert not list((tmp_path / "sets").iterdir())


def test_no_clear_text_of_the_csv_reaches_yaml(tmp_path, images):
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2)])
    import_csv(images, path, tmp_path / "dev", size=(20, 20))
    assert yaml.safe_load((tmp_path / "dev" / "dataset.yaml").read_text())["source"] == "imported with dev.csv"
