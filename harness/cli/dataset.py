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
@click.argument("name", type=click.Choice(["digits", "shapes"]))
@click.option("--into", type=Place(), default=None, help="Directory; dataset/NAME by default.")
@click.option("--images", type=Whole(1, 9999), default=None, help="How many images (shapes only).  [default: 1000]")
def build(name: str, into: Path | None, images: int | None) -> None:
    """Make a data set offline: NAME is digits, the default one, or shapes, for contests of detection."""
    from harness.dataset.digits import build_digits  # noqa: PLC0415
    from harness.dataset.shapes import TOURNAMENT_IMAGES, build_shapes  # noqa: PLC0415

    root = into or Path("dataset") / name
    if name == "shapes":
        build_shapes(root, images or TOURNAMENT_IMAGES)
    elif images is None:
        build_digits(root)
    else:
        raise click.UsageError("--images has no meaning with digits, which are a fixed set.")
    say(f"Built {root}.")


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
def import_(source: Path, csv_path: Path | None, into: Path, size: int, labels: tuple[int, int], label_offset: int,
            seed: int) -> None:
    """Make a data set from SOURCE: images with a 2017 CSV, or a folder with one directory per class."""
    from harness.dataset import importer as dataset_import  # noqa: PLC0415

    _refuse_unused(csv_path)
    if csv_path is not None:
        imported = dataset_import.import_csv(
            source, csv_path, into, size=(size, size), label_range=labels, label_offset=label_offset)
    else:
        imported = dataset_import.import_folder(source, into, size=(size, size), seed=seed)
    for sentence in imported.sentences():
        say(sentence)
    say(f"Imported into {into}.")


def _refuse_unused(csv_path: Path | None) -> None:
    """An option that the other kind of import has is a mistake: the data set would be another one than was meant."""
    context = click.get_current_context()
    for name, with_csv in (("labels", True), ("label_offset", True), ("seed", False)):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and with_csv is not (csv_path is not None):
            problem = f"--{name.replace('_', '-')} has no meaning {'without' if with_csv else 'with'} --csv."
            raise click.UsageError(problem)


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
        raise DatasetError(f"{root} is not what its digest says ({plural(len(problems), 'difference')}).",
                           "Restore the files named above, or build or import it again.")
    say(f"{root} matches its digest.")
