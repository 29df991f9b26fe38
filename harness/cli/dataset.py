"""`harness dataset`: build, import, verify."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from harness.cli.common import say, tell
from harness.cli.values import MANY, MOST_LABEL, MOST_PIXELS, Place, Whole


@click.group(name="dataset", epilog="Example: harness dataset build digits")
def command() -> None:
    """Build, import or verify a data set."""


@command.command(epilog="Example: harness dataset build digits")
@click.argument("name", type=click.Choice(["digits", "shapes", "photos"]))
@click.option("--into", type=Place(), default=None, help="Directory; dataset/NAME by default.")
@click.option("--images", type=Whole(1, 9999), default=1000, show_default=True, help="Number of images (shapes, photos).")
@click.option("--seed", type=Whole(-MANY, MANY), default=2017, show_default=True, help="Seed of images and targets (photos).")
@click.option("--cache", type=Place(), default=Path(".cache/photos"), show_default=True,
              help="Where Debian packages and the nets' predictions are kept between builds (photos).")
def build(name: str, into: Path | None, images: int, seed: int, cache: Path) -> None:
    """Make a data set: NAME is digits, the default one; shapes, for contests of detection; or photos, with ImageNet's classes.

    digits and shapes are made offline. photos is made from free photographs in Debian packages, which are fetched with apt
    (290 MB, no root needed), and labelled by pretrained nets (the extra `photos`).
    """
    root = into or Path("dataset") / name
    for option in {"digits": ("images", "seed", "cache"), "shapes": ("seed", "cache")}.get(name, ()):
        if _given(option):
            problem = f"--{option} has no meaning with {name}."
            raise click.UsageError(problem)
    if name == "photos":
        _build_photos(root, images, seed, cache)
    elif name == "shapes":
        from harness.dataset.shapes import build_shapes  # noqa: PLC0415

        build_shapes(root, images)
    else:
        from harness.dataset.digits import build_digits  # noqa: PLC0415

        build_digits(root)
    say(f"Built {root}.")


def _build_photos(root: Path, images: int, seed: int, cache: Path) -> None:
    from harness.dataset.net_labels import NetLabels  # noqa: PLC0415
    from harness.dataset.photos import build_photos  # noqa: PLC0415

    with NetLabels() as labels:
        sheet = build_photos(root, labels, cache, images=images, seed=seed, tell=say)
    say(f"Look at {sheet} before you use it: the labels come from nets.")


@command.command(name="import", epilog="Example: harness dataset import images/ --csv images.csv --into dataset/dev")
@click.argument("source", type=Place())
@click.option("--csv", "csv_path", type=Place(),
              help="CSV in the 2017 format (ImageId, TrueLabel, TargetClass).")
@click.option("--into", type=Place(), required=True, help="Directory of the new data set.")
@click.option("--size", type=Whole(1, MOST_PIXELS), default=299, show_default=True, help="Width and height in pixels.")
@click.option("--labels", nargs=2, type=Whole(0, MOST_LABEL), default=(1, 1000), show_default=True,
              help="Lowest and highest label (CSV).")
@click.option("--label-offset", type=Whole(-MOST_LABEL, MOST_LABEL), default=0, show_default=True,
              help="Added to every label of the CSV.")
@click.option("--seed", type=Whole(-MANY, MANY), default=2017, show_default=True, help="Seed of the target classes (image folder).")
@click.option("--label-with-nets", is_flag=True,
              help="Keep only images that three pretrained nets agree on; labels 1..1000 as in 2017 (the extra `photos`).")
def import_(source: Path, csv_path: Path | None, into: Path, size: int, labels: tuple[int, int], label_offset: int,
            seed: int, *, label_with_nets: bool) -> None:
    """Make a data set from SOURCE: images with a 2017 CSV, a folder with one directory per class, or images that nets label."""
    from harness.dataset import importer as dataset_import  # noqa: PLC0415
    from harness.dataset.net_labels import NetLabels  # noqa: PLC0415

    _refuse_unused(csv_path)
    if csv_path is not None and label_with_nets:
        problem = "--label-with-nets has no meaning with --csv, which gives the labels."
        raise click.UsageError(problem)
    if label_with_nets:
        with NetLabels() as nets:
            imported = dataset_import.import_labelled(source, into, nets, size=(size, size), seed=seed)
    elif csv_path is not None:
        imported = dataset_import.import_csv(
            source, csv_path, into, size=(size, size), label_range=labels, label_offset=label_offset)
    else:
        imported = dataset_import.import_folder(source, into, size=(size, size), seed=seed)
    for sentence in imported.sentences():
        say(sentence)
    say(f"Imported into {into}.")


def _refuse_unused(csv_path: Path | None) -> None:
    """An option that the other kind of import has is a mistake: the data set would be another one than was meant."""
    for name, with_csv in (("labels", True), ("label_offset", True), ("seed", False)):
        if _given(name) and with_csv is not (csv_path is not None):
            problem = f"--{name.replace('_', '-')} has no meaning {'without' if with_csv else 'with'} --csv."
            raise click.UsageError(problem)


def _given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


@command.command(epilog="Example: harness dataset verify dataset/digits")
@click.argument("root", type=Place())
def verify(root: Path) -> None:
    """Compare a data set with its digest and name what differs."""
    from harness.dataset.importer import verify as find_problems  # noqa: PLC0415
    from harness.errors import DatasetError  # noqa: PLC0415
    from harness.views.words import plural  # noqa: PLC0415

    problems = find_problems(root)
    for problem in problems:
        tell(problem)
    if problems:
        raise DatasetError(f"{root} does not match its digest ({plural(len(problems), 'difference')}).",
                           "Restore the files named above, or build or import it again.")
    say(f"{root} matches its digest.")
