"""The default data set: the same everywhere, its training part never in the tournament."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from harness.dataset.digest import Record, dataset_digest
from harness.dataset.digits import TOURNAMENT_IMAGES, TRAINING_IMAGES, build_digits, digits_split
from harness.dataset.load import load
from harness.errors import DatasetError

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "digits"
    build_digits(root)
    return root


def test_digest_is_the_published_one(digits: Path) -> None:
    described = yaml.safe_load((digits / "dataset.yaml").read_text())
    assert described["digest"] == "9cae4414c6a9c75859288eb9b778d1f2dbaab5b5352243489bd118e205e25ecb"


def test_loads_as_four_batches_of_100(digits: Path) -> None:
    data = load(digits)
    assert (data.name, data.size, data.label_range) == ("digits", (32, 32), (0, 9))
    batches = data.batches(100, (16, 32, 48, 64))
    assert [(len(batch.ids), batch.bound) for batch in batches] == [(100, 16), (100, 32), (100, 48), (100, 64)]
    pixels = data.pixels(batches[0])
    assert pixels.shape == (100, 32, 32, 3)
    assert np.ptp(pixels) == 255


def test_targets_are_other_classes_and_every_class_is_there(digits: Path) -> None:
    data = load(digits)
    assert not np.any(data.labels == data.targets)
    assert set(data.labels.tolist()) == set(data.targets.tolist()) == set(range(10))


def test_tournament_images_are_the_first_held_out_ones(digits: Path) -> None:
    train, held_out = digits_split()
    assert (len(train.images), len(held_out.images)) == (TRAINING_IMAGES, 500)
    data = load(digits)
    assert np.array_equal(data.labels, held_out.labels[:TOURNAMENT_IMAGES])
    batch = data.batches(100, (16,))[0]
    assert np.array_equal(data.pixels(batch), held_out.images[:100])


def test_no_training_image_is_held_out() -> None:
    train, held_out = digits_split()
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in held_out.images)


def test_building_again_replaces_an_earlier_build(digits: Path) -> None:
    (digits / "images" / "digit-000.png").write_bytes(b"damaged")
    build_digits(digits)
    assert load(digits).digest
    assert sorted(entry.name for entry in digits.parent.iterdir()) == ["digits"]


def test_anything_else_at_that_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(DatasetError, match="is not a build"):
        build_digits(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


BLACK = np.zeros((2, 2, 3), np.uint8)
RECORDS = [Record("a", 1, 2, BLACK), Record("b", 3, 4, BLACK + 1)]


@pytest.mark.parametrize(
    ("label_range", "size", "records", "same"),
    [
        pytest.param((0, 9), (2, 2), RECORDS[::-1], True, id="order does not matter"),
        pytest.param((1, 9), (2, 2), RECORDS, False, id="label range"),
        pytest.param((0, 9), (2, 3), RECORDS, False, id="size"),
        pytest.param((0, 9), (2, 2), RECORDS[:1], False, id="an image less"),
        pytest.param((0, 9), (2, 2), [RECORDS[0]._replace(label=2), RECORDS[1]], False, id="label"),
        pytest.param((0, 9), (2, 2), [RECORDS[0]._replace(target=3), RECORDS[1]], False, id="target"),
        pytest.param((0, 9), (2, 2), [RECORDS[0]._replace(image_id="c"), RECORDS[1]], False, id="name"),
        pytest.param((0, 9), (2, 2), [RECORDS[0]._replace(pixels=BLACK + 2), RECORDS[1]], False, id="pixels"),
    ],
)
def test_digest_covers(label_range: tuple[int, int], size: tuple[int, int], records: list[Record], same: bool) -> None:
    reference = dataset_digest((0, 9), (2, 2), RECORDS)
    assert (dataset_digest(label_range, size, records) == reference) is same
