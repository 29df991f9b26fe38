"""`harness run`."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.common import config_option, read_config, say, trust_option
from harness.cli.values import MANY, MOST_SLOTS, Place, Whole, label
from harness.cli.values import gpus as parse_gpus
from harness.ending import asked, held
from harness.errors import EngineError

if TYPE_CHECKING:
    from harness.config import TournamentConfig
    from harness.contest import Options, Summary
    from harness.errors import HarnessError


#: How many different failures of the host are told at the end; `harness show` has them all.
_REASONS = 3
#: Of how many submissions the runs given up are counted one by one.
_NAMED = 5


@click.command(epilog="Example: harness run --slots 4 --only my_attack")
@click.option("--sandbox", type=click.Choice(["auto", "docker", "process"]), help="Instead of sandbox.backend.")
@click.option("--isolation", type=click.Choice(["run", "submission"]), help="Instead of sandbox.isolation.")
@click.option("--slots", type=Whole(1, MOST_SLOTS), help="Runs at the same time, instead of workers.slots.")
@click.option("--gpus", callback=parse_gpus, help="auto, none, or indices and UUIDs separated by commas.")
@click.option("--round", "round_name", callback=label, help="Make, or go on with, a named round.")
@click.option("--only", multiple=True, metavar="NAME", help="Only runs that concern this submission (repeatable).")
@click.option("--fresh", multiple=True, metavar="NAME", help="Drop this submission's results first (repeatable).")
@click.option("--batch", type=Whole(0, MANY), help="With --fresh: only its results on this batch.")
@click.option("--against", metavar="ATTACK", help="With --fresh NAME of a defense: only its results on this attack, or `clean`.")
@click.option("--trace", type=Place(), help="Write what every slot did (Chrome/Perfetto trace).")
@click.option("--verbose", is_flag=True, help="Say what goes to the log too: failures of the host, retries, clean-up.")
@trust_option
@config_option
def command(sandbox: str | None, isolation: str | None, slots: int | None, gpus: Literal["auto", "none"] | tuple[str, ...] | None,
            round_name: str | None,
            only: tuple[str, ...], fresh: tuple[str, ...], batch: int | None, against: str | None, trace: Path | None,
            verbose: bool, trust_process_sandbox: bool, config_path: Path) -> int:
    """Run the tournament, or go on with it: only what has no result yet is run."""
    from harness.contest import Options  # noqa: PLC0415
    from harness.event_log import shown  # noqa: PLC0415

    if not fresh and (batch is not None or against is not None):
        raise click.UsageError("--batch and --against say which results --fresh drops; name the submission with --fresh.")
    config = read_config(config_path)
    held = {key: value for key, value in (("backend", sandbox), ("isolation", isolation)) if value is not None}
    config = config.model_copy(update={"sandbox": config.sandbox.model_copy(update=held)})
    options = Options(round_name, only, fresh, slots, gpus, trace, batch, against, trust_process_sandbox)
    with shown(say) if verbose else nullcontext():
        return _run(config, options)


def _run(config: TournamentConfig, options: Options) -> int:
    from harness.contest import run_round  # noqa: PLC0415
    from harness.dataset import load as load_dataset  # noqa: PLC0415
    from harness.discover import load_configured  # noqa: PLC0415
    from harness.files import probe  # noqa: PLC0415
    from harness.report.terminal.progress import ProgressWatcher  # noqa: PLC0415
    from harness.sandbox.choose import choose_sandbox, refuse_untrusted, resolve_bases  # noqa: PLC0415
    from harness.scoring import View  # noqa: PLC0415
    from harness.store.lock import writer_lock  # noqa: PLC0415
    from harness.summaries import load_leaderboards  # noqa: PLC0415
    from harness.tournament import Tournament  # noqa: PLC0415

    if options.trace is not None:
        probe(options.trace)
    # All that can be wrong with what a person gave is found before the state directory is touched.
    dataset = load_dataset(config.dataset)
    submissions = load_configured(config, _left_out)
    chosen, warning = choose_sandbox(config.sandbox.backend, config.sandbox.runtime, config.state / "work", config.database)
    # `run_round` asks again, of everybody that takes part; what the file names must not even be registered.
    refuse_untrusted(submissions.values(), isolated=chosen.isolates, trusted=options.trust_process_sandbox)
    if warning:
        say(f"harness: {warning}")
    with held(), Tournament(config) as tournament:
        # Another `harness run` shall not find other submissions than it began with; `run_round` takes the lock again.
        with writer_lock(config.state):
            for registered in tournament.submit_configured(submissions, _left_out):
                row = registered.submission
                if registered.change == "version":
                    say(f"{row.name} changed: this is version {row.version}.")
                if registered.change == "back":
                    say(f"{row.name} takes part again as version {row.version}, with the results that it has.")
        if chosen.isolates:
            # Each of their runs ends as image_missing; nobody else waits for it.
            for name, refused in resolve_bases(submissions.values(), tournament.image_rules()).items():
                say(f"{name}: {refused}")
        with ProgressWatcher() as watcher:
            summary = run_round(tournament, dataset, chosen, options, watcher, _Stop())
        if not summary.stopped:
            # Now, while nobody waits for it; kept tables are taken as they are.
            load_leaderboards(tournament, lambda: dataset, tuple(View), summary.round_name)
        return _tell(summary, options.only)


def _left_out(source: str, error: HarnessError) -> None:
    say(f"{source} is left out, the contest goes on without it: {error}")


def _tell(summary: Summary, only: Collection[str]) -> int:
    progress = summary.progress
    for what in summary.removed:
        say(f"Removed what an earlier harness left: {what}.")
    if progress.corrupt_inputs:
        say(f"{progress.corrupt_inputs} stored adversarial batches did not match their digest and were made again.")
    if summary.stopped:
        say(f"Stopped with {progress.finished} runs done; everything recorded is kept. `harness run` goes on.")
        return 130
    if not progress.started:
        whose = f"that concerns {', '.join(only)}" if only else "of this round"
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
            "Run `harness doctor`, repair what it names, then `harness run` again: it goes on with these.")
    return 0


class _Stop:
    """Whether a signal asks to stop; what runs is ended then, and that is said once."""

    told = False

    def __call__(self) -> bool:
        if asked.is_set() and not self.told:
            self.told = True
            say("\nStopping: ending what runs ...")
        return asked.is_set()
