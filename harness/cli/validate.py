"""`harness validate`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import config_option, say, tell, trust_option
from harness.ending import asked, held
from harness.tracks import TRACKS, Access

if TYPE_CHECKING:
    from harness.config import TournamentConfig
    from harness.dataset.load import Dataset
    from harness.submission.load import Submission
    from harness.submission.problems import Problem
    from harness.tournament.choose_sandbox import DockerHost
    from harness.tournament.dry_run import Trial


@click.command(epilog="Example: harness validate submissions/templates/attack")
@click.argument("source")
@click.option("--type", "type_", type=click.Choice(list(TRACKS)),
              help="Track, for an image without the label harness.type.")
@click.option("--sandbox", type=click.Choice(["auto", "docker", "process"]), help="Overrides sandbox.backend.")
@click.option("--static", is_flag=True, help="Static checks only; run nothing.")
@trust_option
@config_option
def command(source: str, type_: str | None, sandbox: str | None, static: bool, trust_process_sandbox: bool,
            config_path: Path) -> int:
    """Check SOURCE (a directory, an archive or a Docker image), then run it on a real batch; name every problem at once."""
    from harness.errors import EngineError  # noqa: PLC0415
    from harness.sandbox.image_rules import ImageRules  # noqa: PLC0415
    from harness.submission.load import kind_of, load, unpack  # noqa: PLC0415
    from harness.submission.static_checks import check  # noqa: PLC0415
    from harness.tournament.choose_sandbox import DockerHost, base_lookup, image_lookup, image_problems  # noqa: PLC0415

    config = _config(config_path)
    if sandbox is not None:
        config = config.model_copy(update={"sandbox": config.sandbox.model_copy(update={"backend": sandbox})})
    rules = ImageRules(config.sandbox.images, stand_ins=config.stand_ins)
    # Each is done once, however often it is asked for: connecting, looking an image up, unpacking.
    docker, unpacked = DockerHost(config.sandbox.runtime), cache(unpack)
    find_image = image_lookup(docker)
    # A process has no image around it, so one that is not here is in nobody's way.
    bases = (EngineError("Programs run as processes here.", "") if config.sandbox.backend == "process"
             else base_lookup(rules, docker))
    unknown = bases if isinstance(bases, EngineError) else None
    unused: list[Problem] = []
    problems = check(source, type=type_, image_info=find_image,
                     base_info=None if isinstance(bases, EngineError) else bases, unpack=unpacked,
                     without_gpu=None if _has_gpu(config) else unused)
    form = image_problems(source, docker) if not problems and kind_of(Path(source)) == "absent" else []
    _tell([*problems, *form])
    if static and unknown is not None and Path(source).exists():
        tell(f"  - The image that it names was not looked up. {unknown}")
    for problem in unused:
        tell(f"  - {problem.field_or_file}: {problem.sentence} No run uses it here: there is no GPU.")
    if problems or static:
        return _verdict(source, len(problems) + len(form))
    submission = load(source, type=type_, image_info=find_image, unpack=unpacked)
    trial = _try(submission, config, docker, trusted=trust_process_sandbox)
    _tell(trial.problems)
    for remark in trial.remarks:
        tell(f"  - {remark}")
    # An image that starts oddly and works all the same is valid.
    return _verdict(source, len(trial.problems) + (len(form) if trial.problems else 0))


def _try(submission: Submission, config: TournamentConfig, docker: DockerHost, *, trusted: bool) -> Trial:
    from harness.engine.gpu import first_gpu  # noqa: PLC0415
    from harness.errors import SubmissionError  # noqa: PLC0415
    from harness.formats.threats import in_words  # noqa: PLC0415
    from harness.sandbox.image_rules import ImageRules  # noqa: PLC0415
    from harness.tournament.choose_sandbox import choose_sandbox  # noqa: PLC0415
    from harness.tournament.conditions import limits_of  # noqa: PLC0415
    from harness.tournament.dry_run import Duel, try_out  # noqa: PLC0415
    from harness.tournament.tournament import refuse_untrusted, takes_no_part  # noqa: PLC0415

    takes_bound = TRACKS[submission.type].takes_bound
    if takes_bound and (lacking := takes_no_part(submission, config.rules)):
        raise SubmissionError(lacking, "Name a tournament file that has it with --config.")
    chosen, warning = choose_sandbox(config.sandbox.backend, database=config.database, docker=docker)
    opponent = None if submission.access is Access.BLACK_BOX else _opponent(submission, config)
    refuse_untrusted([each for each in (submission, opponent) if each is not None], isolated=chosen.isolates, trusted=trusted)
    if warning:
        say(f"harness: {warning}")
    dataset = _dataset(config)
    batch = dataset.batches(config.rules.batch_size, config.rules.bounds)[0]
    if takes_bound:
        batch = batch.under(submission.threat)
    bound = f", {in_words(batch.threat, batch.bound)}" if takes_bound else ""
    against = "" if opponent is None else f", against {opponent.name}"
    say(f"Running {submission.name} ({submission.type}) on a batch of {len(batch.ids)} images{bound}{against} ...")
    gpu = first_gpu(config.workers.gpus)
    with held():
        return try_out(submission, dataset, batch, chosen, limits_of(config.rules, config.sandbox), gpu, asked,
                       ImageRules.of_a_trial(config.sandbox.images, config.stand_ins), config.rules.rejection,
                       None if opponent is None else Duel(opponent, config.rules.queries),
                       config.rules.queries if Access.QUERY in config.rules.access else None)


def _opponent(submission: Submission, config: TournamentConfig) -> Submission:
    """A defense of the tournament's that is open to what an attack may know: the first that the file names."""
    from harness.errors import SubmissionError  # noqa: PLC0415
    from harness.submission.discover import load_configured  # noqa: PLC0415

    for defense in load_configured(config, lambda _source, _error: None):
        if submission.access in defense.submission.open_to:
            return defense.submission
    raise SubmissionError(
        f"{submission.name} cannot be tried: no defense in the tournament file is open to {submission.access} attacks.",
        "Name one in `submissions`, such as submissions/defenses/undefended_plain.")


def _has_gpu(config: TournamentConfig) -> bool:
    """Whether a run would have a GPU; also where nobody can tell, which is said when it matters."""
    from harness.engine.gpu import first_gpu  # noqa: PLC0415
    from harness.errors import HarnessError  # noqa: PLC0415

    try:
        return first_gpu(config.workers.gpus) is not None
    except HarnessError:
        return True


def _config(path: Path) -> TournamentConfig:
    """The tournament's file; the default tournament where none is there and none was named."""
    from harness.config import TournamentConfig, load  # noqa: PLC0415

    if path == Path("tournament.yaml") and not path.exists():
        return TournamentConfig(name="digits", dataset=Path("dataset/digits"))
    return load(path)


def _dataset(config: TournamentConfig) -> Dataset:
    """The tournament's data set; the default one is made for the occasion where it is absent."""
    from harness.dataset.digits import build_digits  # noqa: PLC0415
    from harness.dataset.load import load  # noqa: PLC0415

    if not config.dataset.exists() and config.dataset.name == "digits":
        place = Path(tempfile.mkdtemp(prefix="harness-digits-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        build_digits(place / "digits")
        return load(place / "digits")
    return load(config.dataset)


def _tell(problems: list[Problem]) -> None:
    for problem in problems:
        tell(f"{problem.field_or_file}: {problem.sentence}")
        if problem.next_step:
            tell(f"    {problem.next_step}")


def _verdict(source: str, problems: int) -> int:
    if problems:
        tell(f"{source} is not valid yet: {problems} problem{'s' if problems > 1 else ''}.")
        return 2
    tell(f"{source} is valid.")
    return 0
