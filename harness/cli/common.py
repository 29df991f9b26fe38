"""Options that several commands share, and how they open a tournament."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.values import Place
from harness.untrusted_text import lines

if TYPE_CHECKING:
    from harness.config import TournamentConfig
    from harness.tournament.tournament import Tournament

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "csv", "markdown")


def config_option(function: F) -> F:
    """``--config``: the tournament file."""
    return click.option("--config", "config_path", type=Place(), default=Path("tournament.yaml"),
                        envvar="HARNESS_CONFIG", show_default=True, help="The tournament file.")(function)


def format_option(function: F) -> F:
    """``--format``: how data is printed."""
    return click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True,
                        help="How to print data.")(function)


def round_option(function: F) -> F:
    """``--round``: which round."""
    return click.option("--round", "round_name", default=None, help="Round to show; the newest by default.")(function)


def trust_option(function: F) -> F:
    """``--trust-process-sandbox``: what came packed is the person's own."""
    return click.option("--trust-process-sandbox", is_flag=True,
                        help="Accept archives and images even without isolation.")(function)


def read_config(path: Path) -> TournamentConfig:
    """The tournament file.

    Raises:
        ConfigError: It cannot be used.
    """
    from harness.config import load  # noqa: PLC0415 - only commands that need it pay for pydantic

    return load(path)


@contextmanager
def open_tournament(path: Path, *, create: bool = False) -> Iterator[Tournament]:
    """The tournament of a file; with ``create`` its state directory is made where absent.

    What the database refuses while it is open is told in a sentence, whichever command asked.

    Raises:
        HarnessError: The file or the state directory cannot be used.
    """
    from harness.store.database import explain  # noqa: PLC0415 - only commands that need it pay for SQLAlchemy
    from harness.tournament.tournament import Tournament  # noqa: PLC0415

    config = read_config(path)
    with explain(config.database), Tournament(config, create=create) as tournament:
        yield tournament


def say(text: str) -> None:
    """Talk to the person (stderr); stdout is for data."""
    click.echo(lines(text), err=True)


def tell(text: str) -> None:
    """Print what is asked for (stdout), where authors' text may be part of it."""
    click.echo(lines(text))
