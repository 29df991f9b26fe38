"""What every command offers, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from harness.cli.common import FORMATS
from harness.cli.main import COMMANDS, cli

#: The commands that print data, for people and for programs.
DATA = {"doctor", "leaderboard", "logs", "matrix", "selftest", "show", "status", "submissions"}


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and, of a family, each of its members."""
    for command in COMMANDS:
        yield (command,)
        found = cli.get_command(click.Context(cli), command)
        if isinstance(found, click.Group):
            yield from ((command, name) for name in found.commands)


def test_the_families_are_looked_into() -> None:
    assert {("dataset", "build"), ("dataset", "import"), ("dataset", "verify")} <= set(commands())
    assert set(COMMANDS) >= DATA


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_shows_an_example_and_the_formats(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*words, "--help"])
    assert done.exit_code == 0, done.output
    # Of this command: help is wrapped, so the words may stand on two lines.
    assert f"Example: harness {' '.join(words)}" in " ".join(done.output.split())
    formats = f"[{'|'.join(FORMATS)}]"
    assert (formats in done.output) == (words[0] in DATA), done.output


def test_help_of_the_command_names_every_verb() -> None:
    done = CliRunner().invoke(cli, ["--help"])
    assert done.exit_code == 0
    assert "Example:" in done.output
    assert [command for command in COMMANDS if f"\n  {command} " not in done.output] == []
