"""The `harness` command.

A command's module is imported when the command is used: `harness --help` must not pay for SQLAlchemy, nor `harness leaderboard` for
Docker. Exit codes: 0 ok (also if the reader of our output exits), 1 a bug or a failed self-test, 2 something for the person to
correct, 130 interrupted (SIGINT, SIGTERM), 128 + its number for another signal.
"""

from __future__ import annotations

import importlib
import io
import sys

import click

from harness import __version__
from harness.cli.common import say
from harness.cli.streams import ReaderLeft, guarded
from harness.ending import Ended, watched
from harness.errors import HarnessError

#: Command to (module, one line for --help), in the order in which a newcomer needs them.
COMMANDS: dict[str, tuple[str, str]] = {
    "doctor": ("doctor", "Check whether this host can run the tournament."),
    "init": ("init", "Write a commented tournament file."),
    "dataset": ("dataset", "Build, import or verify a data set."),
    "validate": ("validate", "Check a submission and run it on a real batch."),
    "submit": ("submit", "Submit a directory, archive or image."),
    "submissions": ("submissions", "List the submissions."),
    "run": ("run", "Run or resume the tournament."),
    "status": ("status", "Show progress."),
    "leaderboard": ("leaderboard", "Print the ranking of each track, with uncertainty."),
    "matrix": ("matrix", "Print every attack against every defense."),
    "show": ("show", "Print one submission: opponents, outcomes, reasons, times."),
    "logs": ("logs", "Print what a submission's runs wrote."),
    "report": ("report", "Write a round as one self-contained HTML file."),
    "export": ("export", "Write the 2017 CSV files and all results."),
    "selftest": ("selftest", "Run the hostile corpus on this host."),
}


class _Commands(click.Group):
    """Loads a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, its module imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"harness.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


#: The \b keeps click from filling the lines below it.
_HELP = """Attack/defense tournaments in adversarial machine learning.

\b
Example:
  harness dataset build digits
  harness run
  harness leaderboard
"""


@click.command(cls=_Commands, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    pass


def main() -> None:
    """Run the command line; every error a person can cause is one sentence and exit code 2."""
    with watched():
        try:
            with guarded():
                code = _run()
        except ReaderLeft:
            code = 0
        except Ended as ended:
            code = ended.exit_code
        sys.exit(code)


def _run() -> int:
    try:
        try:
            code = cli.main(standalone_mode=False)
        except SystemExit as left:
            code = left.code
        sys.stdout.flush()
    except HarnessError as error:
        _say(error.problem, error.next_step)
        return 2
    except click.ClickException as error:
        # What is wrong is told in the person's own words, which a script may have from somebody else.
        shown = io.StringIO()
        error.show(file=shown)
        say(shown.getvalue().rstrip())
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    return code if isinstance(code, int) else 0


def _say(problem: str, next_step: str) -> None:
    say(f"harness: {problem}")
    if next_step:
        say(f"  {next_step}")


if __name__ == "__main__":
    main()
