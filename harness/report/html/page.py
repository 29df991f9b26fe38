"""The page: its filled template, with a policy that allows only the page's own content."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness import __version__
from harness.files import whole_file
from harness.report.html import charts
from harness.report.html.heat import heat_map
from harness.report.html.pictures import pictures
from harness.sandbox.outcomes import POLICY, Outcome
from harness.scoring import Track
from harness.scoring.leaderboard import Row
from harness.tracks import TRACKS, consumes
from harness.tracks import Track as TrackKind
from harness.untrusted_text import lines, plain
from harness.views.curves import Curve
from harness.views.leaderboard import access_words, columns, footnotes, heading, median_words, robust_columns, tables
from harness.views.report import BestOfRound, QueryCurve, ReportView
from harness.views.status import blame, next_step, sentence
from harness.views.submission import standing, timing
from harness.views.words import duration, percent, plural, rank_span, share, span

T = TypeVar("T", Curve, QueryCurve, BestOfRound)

#: Seconds after which a page of a running tournament reloads itself.
RELOAD_S = 60
#: Characters of one untrusted text; the whole is with `harness show` and `harness logs`.
_MOST_CHARACTERS = 4000
_LONGEST_NAME = 120


def write_report(view: ReportView, path: Path, *, live: bool = False) -> None:
    """Write the page; it is complete or not there.

    Args:
        view: What it shows.
        path: The file.
        live: Whether it is written again and again: an incomplete one then reloads itself.

    Raises:
        StoreError: It cannot be written.
    """
    page = render(view, live=live)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(view: ReportView, *, live: bool = False) -> str:
    """The page as text."""
    style, script = _asset("report.css"), _asset("report.js")
    policy = (f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
              "base-uri 'none'; form-action 'none'")
    tracks = [(_titled(TRACKS[name], words), part)
              for name, rows in view.board.tracks.items() if rows for words, part in tables(rows)]
    return _environment().get_template("report.html").render(
        view=view, tracks=tracks, live=live and not view.complete, reload_s=RELOAD_S,
        # Our own files, not untrusted text.
        policy=policy, style=Markup(style), script=Markup(script),  # noqa: S704
        shown=pictures(view.gallery) if view.gallery else None, queries=_by_track(view.queries), rounds=_by_track(view.rounds),
        curves=[(bound, _by_track(list(found))) for bound, found in groupby(view.curves, key=lambda curve: curve.bound)],
        detectors=[
            item.submission for item in view.entries if item.submission.histogram is not None and item.submission.row is not None],
        maps=[(part, list(maps)) for part, maps in groupby(view.maps, key=lambda found: found.part)],
        notes=footnotes(view.board), version=__version__, leaders=[_leader(track, rows) for track, rows in tracks])


def _titled(track: TrackKind, words: str) -> TrackKind:
    """A track with the title of one of its tables."""
    return replace(track, title=f"{track.title}, {words}") if words else track


def _by_track(found: Sequence[T]) -> list[tuple[Track, list[T]]]:
    """What each track has, in the order of the tables."""
    order = list(TRACKS)
    ordered = sorted(found, key=lambda each: order.index(each.track))
    return [(track, list(each)) for track, each in groupby(ordered, key=lambda each: each.track)]


def _leader(track: TrackKind, rows: Sequence[Row]) -> dict[str, object]:
    """The best of a track that is no baseline, and how far the best baseline is behind."""
    best = next((row for row in rows if not row.baseline), rows[0])
    baseline = next((row for row in rows if row.baseline and row is not best), None)
    ahead = None if baseline is None or baseline.score is None or best.score is None else best.score - baseline.score
    return {"track": track, "row": best, "baseline": baseline, "ahead": ahead, "of": len(rows)}


@cache
def _environment() -> Environment:
    made = Environment(loader=PackageLoader("harness.report.html", "."), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True, finalize=_text)
    made.filters.update(
        name=_name, anchor=_anchor, link=lambda anchor: "#" + quote(anchor, safe="/"), share=share, span=span, percent=percent,
        rank_span=rank_span, duration=duration, plural=plural, sentence=sentence, next_step=next_step, blame=blame)
    made.globals.update(
        charts=charts, heat_map=heat_map, columns=columns, robust_columns=robust_columns, access_words=access_words,
        median_words=median_words, heading=heading, consumes=consumes,
        standing=standing, timing=timing, TRACKS=TRACKS,
        causes={str(outcome): POLICY[outcome] for outcome in Outcome})
    return made


def _text(value: object) -> object:
    """Every value that the template shows passes here: untrusted text is sanitised and shortened."""
    if value is None:
        return ""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return lines(value if len(value) <= _MOST_CHARACTERS else value[:_MOST_CHARACTERS] + "…")


def _name(text: str) -> str:
    return plain(text, _LONGEST_NAME)


def _anchor(name: str, track: Track) -> str:
    """``defense/NAME``: what a link to an entry ends with."""
    return f"{track}/{_name(name)}"


@cache
def _asset(name: str) -> str:
    return (files("harness.report.html") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
