"""Write a data set that the harness makes itself; an earlier build at that path is replaced, anything else refused.

Everything is written beside the path and moved there, so that a stopped build leaves no partial data set.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml
from PIL import Image

from harness.dataset.digest import Record, dataset_digest, pixel_sha256
from harness.errors import DatasetError


def write_built(
    root: Path, name: str, records: Sequence[Record], *, label_range: tuple[int, int], size: tuple[int, int],
    classes: Sequence[str], licence: str, source: str,
) -> None:
    """Write ``images/*.png``, ``metadata.csv`` and ``dataset.yaml`` to ``root``.

    Raises:
        DatasetError: ``root`` holds something that is no build of this data set.
    """
    check_replaceable(root, name)
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        _write_images(unfinished, records)
        described = {
            "name": name,
            "digest": dataset_digest(label_range, size, records),
            "label_low": label_range[0],
            "label_high": label_range[1],
            "width": size[0],
            "height": size[1],
            "classes": list(classes),
            "licence": licence,
            "source": source,
        }
        (unfinished / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False, width=1000), encoding="utf-8")
        unfinished.chmod(0o755)
        if root.exists():
            shutil.rmtree(root)
        unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_replaceable(root: Path, name: str) -> None:
    """Refuse a place that holds anything but an earlier build.

    Raises:
        DatasetError: It does.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    try:
        described = yaml.safe_load((root / "dataset.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        described = None
    if not isinstance(described, dict) or described.get("name") != name:
        problem = f"{root} exists and is not a build of the data set `{name}`."
        raise DatasetError(problem, "Name another place, or move it away.")


def _write_images(root: Path, records: Sequence[Record]) -> None:
    (root / "images").mkdir()
    for record in records:
        Image.fromarray(record.pixels).save(root / "images" / f"{record.image_id}.png")
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("ImageId", "TrueLabel", "TargetClass", "PixelSha256"))
        rows.writerows((*record[:3], pixel_sha256(record.pixels)) for record in records)
