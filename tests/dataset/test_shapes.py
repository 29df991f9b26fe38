"""The rendered shapes: the same everywhere, no clean image like another in grain, training images never in the tournament."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from harness.cli.main import cli
from harness.dataset.load import load
from harness.dataset.shapes import CLASSES, Shapes, _covered, _rectangle, build_shapes, shapes
from harness.errors import DatasetError


@pytest.fixture(scope="module")
def part() -> Shapes:
    return shapes("test", 200)


def test_digest_is_the_published_one(tmp_path: Path) -> None:
    build_shapes(tmp_path / "shapes")
    described = yaml.safe_load((tmp_path / "shapes" / "dataset.yaml").read_text())
    assert described["digest"] == "d0213d18c80138027aba852589824952f768f0a8d8cb6bc9505b507fcece1247"
    data = load(tmp_path / "shapes")
    assert (data.name, data.size, data.label_range, len(data.labels)) == ("shapes", (64, 64), (0, 9), 1000)
    assert not np.any(data.labels == data.targets)
    assert set(data.labels.tolist()) == set(data.targets.tolist()) == set(range(10))
    assert min(np.bincount(data.labels)) > 70


def test_a_part_is_the_same_wherever_it_begins(part: Shapes) -> None:
    later = shapes("test", 5, start=20)
    assert np.array_equal(later.images, part.images[20:25])
    assert np.array_equal(later.labels, part.labels[20:25])


def test_no_training_image_is_in_the_tournament(part: Shapes) -> None:
    seen = {image.tobytes() for image in part.images}
    train = shapes("train", 200)
    assert not any(image.tobytes() in seen for image in train.images)
    assert set(train.labels.tolist()) == set(range(len(CLASSES)))


def test_grain_differs_from_image_to_image(part: Shapes) -> None:
    """Median of second differences: it sees grain and few edges. A tenth of the images has less than a third of another tenth's."""
    rough = np.median(np.abs(np.diff(part.images.astype(float), n=2, axis=2)), axis=(1, 2, 3))
    low, high = np.quantile(rough, [0.1, 0.9])
    assert low * 3 < high


def test_half_of_the_images_were_compressed(part: Shapes) -> None:
    """JPEG keeps colour at half the size: differences of neighbours in colour are small within its blocks of 2x2."""
    red, _, blue = np.moveaxis(part.images.astype(float), 3, 0)
    colour = np.abs(np.diff(red - blue, axis=2))
    within, between = np.median(colour[:, :, ::2], axis=(1, 2)), np.median(colour[:, :, 1::2], axis=(1, 2))
    assert 0.3 < np.mean(within < 2) < 0.75
    assert within.mean() <= between.mean() + 0.5


def test_a_contour_covers_its_area_and_an_inner_one_is_a_hole() -> None:
    square = _rectangle(1, 1) * 20 + 32
    covered = _covered([square])
    assert covered.sum() == pytest.approx(40 * 40, rel=1e-6)
    assert covered[32, 32] == 1
    assert covered[5, 5] == 0
    ring = _covered([square, _rectangle(1, 1) * 10 + 32])
    assert ring.sum() == pytest.approx(40 * 40 - 20 * 20, rel=1e-6)
    assert ring[32, 32] == 0


def test_the_command_builds_as_many_as_asked_for(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["dataset", "build", "shapes", "--images", "7", "--into", str(tmp_path / "seven")])
    assert done.exit_code == 0, done.output
    assert np.array_equal(load(tmp_path / "seven").labels, shapes("test", 7).labels)


def test_another_build_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    build_shapes(root, 10)
    (root / "images" / "shape-0000.png").write_bytes(b"damaged")
    build_shapes(root, 5)
    assert len(load(root).labels) == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["shapes"]
    (root / "dataset.yaml").write_text("name: thesis\n")
    with pytest.raises(DatasetError, match="is not a build of the data set `shapes`"):
        build_shapes(root, 5)
