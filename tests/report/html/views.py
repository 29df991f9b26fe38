"""A report of made-up results, in which all that a stranger can write is hostile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.scoring import Entry, Results
from harness.scoring.leaderboard import build_matrix
from harness.views.logs import LoggedRun
from harness.views.report import Attacked, BestOfRound, CleanImage, EntryView, Gallery, GalleryRow, ReportView
from harness.views.report_reader import scored
from harness.views.submission import FailedRun, SubmissionView, met
from tests.report.conftest import make_results

#: Each would show itself: as an element, a message of the console, a request, a dialog, or text turned around.
HOSTILE = {
    "script": "<script>window.pwned=1</script>", "end of script": "</script><script>window.pwned=2</script>",
    "end of style": "</style><img src=x onerror=window.pwned=3>", "end of title": "</title><script>window.pwned=4</script>",
    "handler": "<img src=x onerror=window.pwned=5>", "svg": "<svg onload=window.pwned=6>",
    "attribute": '" onmouseover=window.pwned=7 x="', "single": "' autofocus onfocus=window.pwned=8 '",
    "link": "javascript:window.pwned=9", "meta": "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "frame": "<iframe srcdoc='<script>parent.pwned=10</script>'></iframe>", "comment": "<!--", "cdata": "]]><script>1</script>",
    "entity": "&lt;b&gt; &#60;i&#62;", "template": "{{ 7*7 }}{% raw %}", "colours": "\x1b[31mred\x1b[0m \x9b2J",
    "title code": "\x1b]0;title\x07x", "bidi": "a\u202egpj.exe\u202c\u2066b\u2069", "invisible": "a\u200b\ufeff\U000e0041b\0",
    "surrogate": "a\udcffb", "long": "x" * 10_000, "base": "<base href=http://127.0.0.1:9/>",
    "form": "<form action=http://127.0.0.1:9/><button>go", "stylesheet": "<link rel=stylesheet href=http://127.0.0.1:9/a.css>",
}


def made_report(attacks: int = 6, targeted: int = 3, defenses: int = 5, *, hostile: bool = False, images: int = 60) -> ReportView:
    """Two epsilons, gallery, rounds, failures and logs; with ``hostile``, names, teams and all other texts are."""
    evil = list(HOSTILE.values())
    results = make_results(attacks, targeted, defenses, images)
    if hostile:
        results = replace(results, tournament=evil[3], round=evil[0], attacks=_renamed(results.attacks, evil, 0),
                          defenses=_renamed(results.defenses, evil, len(results.attacks)))
    view = scored(results, [16, 64])
    text = " ".join(evil[:14]) if hostile else "No module named `torch`."
    rows = {row.name: row for rows in view.board.tracks.values() for row in rows}
    entries = []
    for entry in (*results.attacks, *results.defenses):
        opponents, _ = met(build_matrix(results), (), entry)
        failure = FailedRun(1, "time_limit", entry.name, 2, 1, 5.0, text, f"harness run --fresh '{entry.name}'")
        log = LoggedRun(1, entry.name, "time_limit", 2, text, evil[-5] if hostile else "killed")
        submission = SubmissionView(entry, {"source": text}, 3, 4, row=rows[entry.name], opponents=opponents, failures=(failure,),
                                    notes=(text,))
        entries.append(EntryView(submission=submission, logs=(log,)))
    best = next(row for row in view.board.tracks["attack"])
    rounds = tuple(BestOfRound(round=name, track="attack", own=best, baseline=None) for name in ("dev", text[:200]))
    return replace(view, entries=tuple(entries), gallery=_gallery(results, text), facts=(("Data set", text), ("Rules", "some")),
                   rounds=rounds)


def _renamed(entries: tuple[Entry, ...], evil: list[str], first: int) -> tuple[Entry, ...]:
    return tuple(replace(entry, name=f"{evil[(first + at) % len(evil)]} {entry.type} {at}", team=evil[-1 - at % len(evil)],
                         mark=evil[4]) for at, entry in enumerate(entries))


def _gallery(results: Results, text: str) -> Gallery:
    generator = np.random.default_rng(3)
    clean = tuple(CleanImage(id=text[:50], label=text, target="2", bound=f"epsilon {epsilon}",
                             pixels=generator.integers(0, 256, (8, 8, 3), np.uint8)) for epsilon in (16, 64))
    shown = Attacked(pixels=clean[0].pixels + np.uint8(1), asked=5, fooled=tuple(e.name for e in results.defenses), hit=1)
    return Gallery(clean=clean, rows=tuple(
        GalleryRow(name=entry.name, track=entry.type, baseline=entry.baseline, images=(shown, None)) for entry in results.attacks))
