"""`harness submit`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.cli.common import config_option, open_tournament, read_config, say, trust_option
from harness.tracks import TRACKS


@click.command(epilog="Example: harness submit my_attack/ --team tigers")
@click.argument("source")
@click.option("--name", help="Name in the tournament; by default the metadata's or the source's own.")
@click.option("--type", "type_", type=click.Choice(list(TRACKS)),
              help="Track, for an image without the label harness.type.")
@click.option("--team", help="Who made it.")
@click.option("--baseline/--no-baseline", default=None, help="Whether to mark it as a baseline.")
@click.option("--replace", is_flag=True, help="Take a name that another team, track or unknown author has.")
@trust_option
@config_option
def command(source: str, name: str | None, type_: str | None, team: str | None, baseline: bool | None,
            replace: bool, trust_process_sandbox: bool, config_path: Path) -> None:
    """Submit SOURCE (a directory, an archive or a Docker image) to the tournament, pinned by its digest."""
    from harness.submission.load import load  # noqa: PLC0415
    from harness.tournament.choose_sandbox import (  # noqa: PLC0415
        DockerHost,
        image_lookup,
        image_problems,
        isolates,
        resolve_bases,
    )
    from harness.tournament.tournament import refuse_untrusted, takes_no_part  # noqa: PLC0415

    config = read_config(config_path)
    docker = DockerHost(config.sandbox.runtime)
    submission = load(source, name=name, type=type_, team=team, baseline=baseline, image_info=image_lookup(docker))
    refuse_untrusted([submission], isolated=isolates(config.sandbox.backend, docker), trusted=trust_process_sandbox)
    with open_tournament(config_path, create=True) as tournament:
        if config.sandbox.backend != "process":
            for refused in resolve_bases(submission, tournament.image_rules(), docker):
                raise refused
        # A relative path would mean another place to who comes from another directory.
        where = source if submission.kind == "image" else os.path.abspath(source)  # noqa: PTH100 - links are kept
        registered = tournament.submit(submission, source=where, replace=replace)
        row = registered.submission
        words = {"new": "is registered", "same": "is already registered with the same content",
                 "back": f"takes part again as version {row.version}, with its results",
                 "version": f"changed: this is version {row.version}, earlier results stay with earlier versions"}
        say(f"{row.type} {row.name} {words[registered.change]} (digest {row.digest[:12]}).")
        if lacking := takes_no_part(row, config.rules):
            say(lacking)
        for problem in image_problems(submission.container, docker) if submission.kind == "image" else []:
            say(f"It will probably fail: {problem.field_or_file}: {problem.sentence}\n  {problem.next_step}")
        click.echo(row.digest)
