import csv
import os

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.dataset import load as dataset
from harness.dataset import write as dataset_write
from harness.dataset.importer import import_csv, import_folder, verify
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
    with pytest.raises(DatasetError, match="already exists"):
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


def folder(root, *names):
    for name in names:
        picture(root / name, 8, 8)
    return root


def test_classes_that_are_numbers_are_in_the_order_of_the_numbers(tmp_path):
    source = folder(tmp_path / "f", *(f"{label}/a.png" for label in range(12)), "ant/a.png")
    imported = import_folder(source, tmp_path / "d", size=(8, 8))
    expected = (*(str(label) for label in range(12)), "ant")
    assert imported.classes == dataset.load(tmp_path / "d").classes == expected
    with (tmp_path / "d" / "metadata.csv").open() as file:
        assert all(expected[int(row["TrueLabel"])] == row["Source"].split("/")[0] for row in csv.DictReader(file))
    assert "Labels: 0 = 0, 1 = 1, 2 = 2," in imported.sentences()[-1]
    assert "10 = 10, 11 = 11, 12 = ant." in imported.sentences()[-1]


def test_two_directories_of_one_number(tmp_path):
    with pytest.raises(DatasetError, match="which are the same number"):
        import_folder(folder(tmp_path / "f", "1/a.png", "01/a.png"), tmp_path / "d", size=(8, 8))


def test_what_a_folder_leaves_out_is_counted_and_named(tmp_path):
    source = folder(tmp_path / "f", "a/1.png", "a/2.png", "a/deep/3.png", "a/.4.png", ".c/5.png", "loose.png", "b/6.png")
    (source / "a" / "1.png").rename(source / "a" / "1.PNG")
    Image.open(source / "a" / "2.png").save(source / "a" / "7.JPEG")
    picture(source / "b" / "8.png", 9, 8)
    (source / "b" / "copy.png").write_bytes((source / "a" / "2.png").read_bytes())
    (source / "a" / "notes.txt").write_text("x")
    (source / "a" / "lost.png").symlink_to("nowhere")
    (source / "a" / "link.png").symlink_to(source / "b" / "6.png")
    os.mkfifo(source / "b" / "pipe.png")
    imported = import_folder(source, tmp_path / "d", size=(8, 8))
    assert imported.taken == 7
    assert {reason.split()[-1]: names for reason, names in imported.left_out.items()} == {
        "images": ["a/deep"], "dot": [".c", "a/.4.png"], "directory": ["loose.png"], ".ppm": ["a/notes.txt"],
        "link": ["a/lost.png", "b/pipe.png"]}
    assert imported.resized == ["8.png"]
    assert len(imported.twins) == 2
    assert any(", labels " in twin for twin in imported.twins)
    assert imported.sentences()[0] == "7 images taken, 7 files or directories left out."
    assert dataset.load(tmp_path / "d").labels.shape == (7,)


def test_what_a_csv_leaves_out_is_counted_and_named(tmp_path, images):
    path = csv_2017(tmp_path / "dev.csv", [("a", 1, 2), ("c", 1, 2)])
    imported = import_csv(images, path, tmp_path / "d", size=(20, 20))
    assert imported.taken == 2
    assert imported.left_out["the CSV does not name it"] == ["b.png"]
    assert ["readme.txt"] in imported.left_out.values()


@pytest.mark.parametrize("name", ["a.JPEG", "a.jpg", "a.png", "a"])
def test_an_image_id_may_have_any_suffix_of_an_image(tmp_path, name):
    picture(tmp_path / "images" / "a.JPEG")
    import_csv(tmp_path / "images", csv_2017(tmp_path / "dev.csv", [(name, 1, 2)]), tmp_path / "d", size=(20, 20))
    assert dataset.load(tmp_path / "d").ids == ("a",)


LINE = "ImageId,TrueLabel,TargetClass\na,1,2\n"
FILES = {
    "semicolons": (LINE.replace(",", ";").encode(), "separated by semicolons", "Save it separated by commas"),
    "tabs": (LINE.replace(",", "\t").encode(), "separated by tabs", "commas"),
    "UTF-16": (LINE.encode("utf-16"), "it is UTF-16 text", "UTF-8"),
    "Latin-1": ((LINE + "é,1,2\n").encode("latin-1"), "line 3: byte 0xe9 is not UTF-8", "UTF-8"),
    "NUL": (LINE.encode() + b"b\0,1,2\n", "line 3: a NUL byte", "UTF-8"),
    "no header": (b"a,1,2\n", "no column ImageId", "Let the first line name ImageId"),
    "small letters": (LINE.lower().encode(), "no column ImageId", "in these letters"),
    "a column twice": (LINE.replace("Class", "Class,TrueLabel").encode(), "names the column TrueLabel twice", "Remove"),
    "a comma too many": (LINE.encode() + b"b,x,1,2\n", "row 3 has 4 columns, and the first line 3", "quotes"),
    "an open quote": (LINE.encode() + b'"b,1,2\n', "is a quote left open", "Correct"),
    "a float": (LINE.replace("a,1", "a,1.0").encode(), "not an integer: '1.0'", "Correct"),
    "twice, by suffix": (LINE.encode() + b"a.jpg,1,2\n", "row 3 repeats the ImageId a", "Correct"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_csv_of_another_kind_is_named(tmp_path, images, case):
    data, words, step = FILES[case]
    (tmp_path / "dev.csv").write_bytes(data)
    with pytest.raises(DatasetError) as refused:
        import_csv(images, tmp_path / "dev.csv", tmp_path / "d", size=(20, 20))
    assert words in refused.value.problem
    assert step in refused.value.next_step


@pytest.mark.parametrize("data", [LINE.encode("utf-8-sig"), LINE.replace("\n", "\r\n").encode(), LINE.encode() + b"\n\n",
                                  (LINE + ",,,\n").encode()])
def test_harmless_ways_to_write_a_csv(tmp_path, images, data):
    (tmp_path / "dev.csv").write_bytes(data)
    assert import_csv(images, tmp_path / "dev.csv", tmp_path / "d", size=(20, 20)).taken == 1
