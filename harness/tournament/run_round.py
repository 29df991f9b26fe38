"""The one road of `harness run`: from the tournament file to the cached leaderboard, under one lock, and cleaned up after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from harness import __version__, event_log, faults
from harness.config import TournamentConfig
from harness.dataset.load import Dataset
from harness.dataset.load import load as load_dataset
from harness.ending import held
from harness.errors import SubmissionError
from harness.event_log import facts
from harness.files import probe
from harness.sandbox.base import Sandbox
from harness.scheduling.board import DONE
from harness.scheduling.scheduler import Progress
from harness.scoring import View
from harness.store.base_images import Moved
from harness.store.lock import writer_lock
from harness.store.values import Registered
from harness.submission.discover import load_configured
from harness.tournament.choose_sandbox import choose_sandbox
from harness.tournament.duel_cost import cost
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.machine import Machine, Summary, Watcher
from harness.tournament.round_loader import Round
from harness.tournament.tournament import Fresh, RunsLeft, TakingPart, Tournament, refuse_untrusted

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What the command line adds to the tournament file."""

    round_name: str | None = None
    only: Collection[str] = ()
    fresh: Collection[str] = ()
    slots: int | None = None
    gpus: Literal["auto", "none"] | tuple[str, ...] | None = None
    trace: Path | None = None
    fresh_batch: int | None = None
    fresh_against: str | None = None
    trust_process_sandbox: bool = False


def run_round(config: TournamentConfig, options: Options, watcher: Watcher, stop: Callable[[], bool]) -> Summary:
    """Register what the tournament file names, run what the round still needs, cache its leaderboard.

    Args:
        config: The tournament file.
        options: What the command line adds.
        watcher: Called with what happens.
        stop: Whether to stop now (asked several times a second).

    Raises:
        HarnessError: Something that a person gave cannot be used; where that can be seen before, the state directory is untouched.
    """
    if options.trace is not None:
        probe(options.trace)
    dataset = load_dataset(config.dataset)
    said: list[str] = []

    def say(text: str) -> None:
        watcher.say(text)
        said.append(text)

    left_out = partial(_left_out, say)
    configured = load_configured(config, left_out)
    sandbox, warning = choose_sandbox(
        config.sandbox.backend, config.sandbox.runtime, scratch=config.state / "work", database=config.database)
    # `play_round` asks again, of everybody that takes part; what the file names must not even be registered.
    refuse_untrusted([each.submission for each in configured], isolated=sandbox.isolates, trusted=options.trust_process_sandbox)
    if warning:
        say(f"harness: {warning}")
    # One lock from the first entry that is registered to the last table: two commands never mix their submissions.
    with held(), Tournament(config) as tournament, writer_lock(config.state), event_log.kept(config.state):
        for registered in tournament.register(configured, left_out):
            _tell_change(say, registered)
        for text in said:
            _LOG.info("Remarks before the round.", extra=facts(said=text))
        with watcher:
            summary = play_round(tournament, dataset, sandbox, options, watcher, stop)
        if not summary.stopped:
            # Now, while nobody waits for it; cached tables are used as they are.
            load_leaderboards(tournament, lambda: dataset, tuple(View), summary.round_name)
        watcher.ended(summary)
        return summary


def _left_out(say: Callable[[str], None], source: str, error: SubmissionError) -> None:
    say(f"{source} is left out, the contest continues without it: {error}")


def _tell_change(say: Callable[[str], None], registered: Registered) -> None:
    name, version = registered.submission.name, registered.submission.version
    if registered.change == "version":
        say(f"{name} changed: this is version {version}.")
    if registered.change == "back":
        say(f"{name} takes part again as version {version}, with its results.")


def play_round(tournament: Tournament, dataset: Dataset, sandbox: Sandbox, options: Options,
               watcher: Watcher, stop: Callable[[], bool]) -> Summary:
    """Run what a round still needs.

    Args:
        tournament: Open, with its submissions registered; the caller holds its lock.
        dataset: Its data set.
        sandbox: Where programs run.
        options: What the command line adds.
        watcher: Called with what happens.
        stop: Whether to stop now (asked several times a second).

    Raises:
        StoreError: Results cannot be recorded.
        EngineError: Every slot is out of service.
        SubmissionError: Somebody else's archive or image would run without isolation.
    """
    who = tournament.taking_part(options.round_name, options.only)
    refuse_untrusted(who.started, isolated=sandbox.isolates, trusted=options.trust_process_sandbox)
    # Before anything is dropped: an object store that does not answer, a GPU or a cluster that is not there is the person's
    # mistake, and costs nothing. Where nothing is dropped and every run has its result, no cluster is needed.
    had_gpu = None if options.fresh else tournament.had_gpu(options.round_name)
    with closing(Machine(tournament, dataset, sandbox, options.slots, options.gpus, tracing=options.trace is not None,
                         had_gpu=had_gpu)) as machine:
        for left_out in who.left_out:
            watcher.say(left_out)
            _LOG.info("An attack does not take part.", extra=facts(said=left_out))
        _tell_remarks(watcher, machine)
        removed = machine.sweep()
        faults.reach("swept")
        round_ = _opened(tournament, dataset, sandbox, options, watcher, machine, who)
        removed += machine.removed_elsewhere()
        for said in cost(round_.lineup, round_.board, round_.unmet, max(1, len(machine.slots))):
            watcher.say(said)
            _LOG.info("The cost of the round's duels.", extra=facts(said=said))
        for what in removed:
            _LOG.info("Leftovers of an earlier harness are removed.", extra=facts(what=what))
        progress = Progress()
        stopped = machine.run(round_, watcher, stop, progress, removed)
        asked: set[tuple[int, int, int]] = set()
        while not stopped and not options.only and (audit := machine.audit(round_, asked)) is not None:
            _LOG.info("Served runs are audited.", extra=facts(round=round_.name))
            stopped = machine.run(audit, watcher, stop, progress, [])
        faults.reach("ending")
        if options.trace is not None:
            machine.tracer.write(options.trace)
        _LOG.info("The round is stopped." if stopped else "The round ends.", extra=facts(
            round=round_.name, finished=progress.finished, outcomes=progress.outcomes, given_up=progress.given_up))
        return Summary(round_.name, progress, stopped=stopped, waiting=round_.board.total - round_.board.counts()[DONE],
                       removed=tuple(removed))


def _tell_remarks(watcher: Watcher, machine: Machine) -> None:
    for remark in machine.remarks():
        watcher.say(f"harness: {remark}")
        _LOG.warning("Remarks on the machines.", extra=facts(said=remark))


def _opened(tournament: Tournament, dataset: Dataset, sandbox: Sandbox, options: Options, watcher: Watcher, machine: Machine,
            who: TakingPart) -> Round:
    """The round as the store knows it; what a person should know of that is said.

    A cluster is joined before anything of the round is changed, and not at all where nothing is to be run.
    """
    images = machine.pin_images(who, watcher)

    def opened() -> Round:
        return tournament.open_round(
            dataset, sandbox=sandbox.name, name=options.round_name, only=options.only, gpu=machine.gpu,
            fresh=Fresh(options.fresh, options.fresh_batch, options.fresh_against) if options.fresh else None, images=images,
            complete_only=not machine.known)

    round_ = None
    if not machine.known:
        with suppress(RunsLeft):
            round_ = opened()
        if round_ is None or (not options.only and machine.audit(round_, set()) is not None):
            expected = machine.gpu
            machine.join()
            _tell_remarks(watcher, machine)
            if machine.gpu != expected:
                images, round_ = machine.pin_images(who, watcher), None
    if round_ is None:
        round_ = opened()
    counts = round_.board.counts()
    _LOG.info("A round begins.", extra=facts(
        version=__version__, round=round_.name, done=counts[DONE], total=round_.board.total, sandbox=sandbox.name,
        slots=[slot.name for slot in machine.slots], isolation=tournament.config.sandbox.isolation, only=list(options.only),
        fresh=list(options.fresh), images={name: image.identity for name, image in images.items()}))
    for moved in round_.moved:
        watcher.say(_moved(moved))
    for name, count in round_.damaged.items():
        watcher.say(f"{count} stored answers of {name} are damaged and count for nothing until they are made again." if count > 1
                    else f"A stored answer of {name} is damaged and counts for nothing until it is made again.")
        _LOG.warning("Stored answers are damaged.", extra=facts(submission=name, runs=count))
    return round_


def _moved(moved: Moved) -> str:
    submissions = "a submission" if moved.submissions == 1 else f"{moved.submissions} submissions"
    runs = "a run" if moved.results == 1 else f"{moved.results} runs"
    return (f"{moved.reference} is another image than before: {runs} of {submissions} on it "
            f"{'is' if moved.results == 1 else 'are'} repeated, and results on the earlier image are kept.")
