"""`harness run`."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.common import config_option, read_config, say, trust_option
from harness.cli.values import MANY, MOST_SLOTS, Place, Whole, label
from harness.cli.values import gpus as parse_gpus
from harness.ending import asked
from harness.errors import EngineError

if TYPE_CHECKING:
    from harness.config import TournamentConfig
    from harness.tournament.machine import Summary
    from harness.tournament.run_round import Options


#: How many different failures of the host are told at the end; `harness show` has them all.
_REASONS = 3
#: Of how many submissions the runs given up are counted one by one.
_NAMED = 5


@click.command(epilog="Example: harness run --slots 4 --only my_attack")
@click.option("--sandbox", type=click.Choice(["auto", "docker", "process"]), help="Overrides sandbox.backend.")
@click.option("--isolation", type=click.Choice(["run", "submission"]), help="Overrides sandbox.isolation.")
@click.option("--slots", type=Whole(1, MOST_SLOTS), help="Concurrent runs; overrides workers.slots.")
@click.option("--gpus", callback=parse_gpus, help="auto, none, or indices and UUIDs separated by commas; overrides workers.gpus.")
@click.option("--round", "round_name", callback=label, help="Start or resume a named round.")
@click.option("--only", multiple=True, metavar="NAME", help="Only runs that involve this submission (repeatable).")
@click.option("--fresh", multiple=True, metavar="NAME", help="Drop this submission's results first (repeatable).")
@click.option("--batch", type=Whole(0, MANY), help="With --fresh: only its results on this batch.")
@click.option("--against", metavar="OPPONENT", help="With --fresh NAME: only its results on this attack, or `clean`; for an "
              "attack, only its duels with this defense.")
@click.option("--report", type=Place(), help="Write the round as an HTML file, each minute and at the end.")
@click.option("--trace", type=Place(), help="Write what every slot did (Chrome/Perfetto trace).")
@click.option("--verbose", is_flag=True, help="Also print what goes to the log: host failures, retries, clean-up.")
@trust_option
@config_option
def command(sandbox: str | None, isolation: str | None, slots: int | None, gpus: Literal["auto", "none"] | tuple[str, ...] | None,
            round_name: str | None,
            only: tuple[str, ...], fresh: tuple[str, ...], batch: int | None, against: str | None,
            report: Path | None, trace: Path | None,
            verbose: bool, trust_process_sandbox: bool, config_path: Path) -> int:
    """Run or resume the tournament: only what has no result yet is run."""
    from harness.event_log import shown  # noqa: PLC0415
    from harness.tournament.run_round import Options  # noqa: PLC0415

    if not fresh and (batch is not None or against is not None):
        raise click.UsageError("--batch and --against say which results --fresh drops; name the submission with --fresh.")
    config = read_config(config_path)
    held = {key: value for key, value in (("backend", sandbox), ("isolation", isolation)) if value is not None}
    config = config.model_copy(update={"sandbox": config.sandbox.model_copy(update=held)})
    options = Options(round_name, only, fresh, slots, gpus, trace, batch, against, trust_process_sandbox)
    with shown(say) if verbose else nullcontext(), _reported(config, config_path, round_name, report):
        return _run(config, options)


def _reported(config: TournamentConfig, config_path: Path, round_name: str | None,
              report: Path | None) -> AbstractContextManager[object]:
    """The report that is written while the round runs, where one is asked for."""
    if report is None:
        return nullcontext()
    from harness.files import probe  # noqa: PLC0415
    from harness.report.html.live import LiveReport  # noqa: PLC0415

    probe(report)
    return LiveReport(config, config_path, round_name, report, say)


def _run(config: TournamentConfig, options: Options) -> int:
    from harness.report.terminal.progress import ProgressWatcher  # noqa: PLC0415
    from harness.tournament.run_round import run_round  # noqa: PLC0415

    watcher = ProgressWatcher(say, lambda summary: _tell(summary, options.only))
    return 130 if run_round(config, options, watcher, _Stop()).stopped else 0


def _tell(summary: Summary, only: Collection[str]) -> None:
    progress = summary.progress
    for what in summary.removed:
        say(f"Removed leftovers of an earlier harness: {what}.")
    if progress.corrupt_inputs:
        say(f"{progress.corrupt_inputs} stored adversarial batches did not match their digest and were made again.")
    if summary.stopped:
        say(f"Stopped with {progress.finished} runs done; everything recorded is kept. `harness run` resumes.")
        return
    if not progress.started:
        whose = f"that involves {', '.join(only)}" if only else "of this round"
        say(f"Nothing new to run: every run {whose} has its result.")
    else:
        outcomes = ", ".join(f"{count} {name}" for name, count in progress.outcomes.most_common())
        say(f"{progress.finished} runs done ({outcomes}).")
    for reason, count in progress.host_errors.most_common(_REASONS):
        say(f"{count} attempts failed on the host's side and were not scored: {reason}")
    if progress.repeated_alone:
        say(f"{progress.repeated_alone} runs hit their time limit while the host was overloaded or the harness was stopped; "
            "each was repeated once before it counted.")
    for name, reason in progress.left_out.items():
        say(f"{name} is given up for now: nothing but failures on the host's side while others ran ({reason})")
    if progress.given_up:
        whose = ", ".join(f"{count} of {name}" for name, count in progress.given_up.most_common(_NAMED))
        more = len(progress.given_up) - _NAMED
        raise EngineError(
            f"The round {summary.round_name} is not finished: {progress.given_up.total()} runs failed on the host's side and were "
            f"given up for now ({whose}{f' and others of {more} more' if more > 0 else ''}).",
            "Run `harness doctor`, repair what it names, then `harness run` again: it resumes these.")


class _Stop:
    """Whether a signal asks to stop; what runs is ended then, and that is said once."""

    told = False

    def __call__(self) -> bool:
        if asked.is_set() and not self.told:
            self.told = True
            say("\nStopping: ending running programs ...")
        return asked.is_set()
