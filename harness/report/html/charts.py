"""Charts as SVG: colours by class, so that they follow the page's light or dark scheme; each has a text alternative."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from harness.scoring.detection import Histogram
from harness.scoring.leaderboard import Row
from harness.scoring.parts import Point
from harness.untrusted_text import plain
from harness.views.curves import Curve
from harness.views.report import BestOfRound, QueryCurve
from harness.views.submission import DetectedAttack
from harness.views.words import share, shorten, span


class _Box(NamedTuple):
    """Where a chart's data stands within its picture, in the picture's units."""

    left: float
    top: float
    right: float
    bottom: float

    def x(self, part: float) -> float:
        return self.left + part * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - value * (self.bottom - self.top)


_RANKS = _Box(26, 14, 250, 190)
_SMALL = _Box(22, 8, 142, 70)
_HALF = _Box(8, 16, 234, 110)
_ROC = _Box(24, 14, 142, 110)
#: Curves in one picture, and points of each: a report may show a hundred detectors.
_MOST_ROC, _ROC_POINTS = 6, 24
_ROUNDS = _Box(30, 12, 300, 160)
#: Characters of a name in a chart's margin; its whole is in the table.
_NAME = 22
#: Least distance between two names in the margin.
_LINE = 11.0
#: More dots than this would merge into a line, and each is an element of the file.
_MOST_DOTS = 60


def interval(row: Row) -> Markup:
    """A score as a dot on a line from 0 to 1, its 95 % interval as a bar."""
    if row.score is None:
        return Markup("")
    parts = [Markup('<path class="axis" d="M2 9H118"/>')]
    if row.score_low is not None and row.score_high is not None:
        low, high = 2 + 116 * row.score_low, 2 + 116 * row.score_high
        parts.append(Markup('<rect class="ci" x="{}" y="5" width="{}" height="8" rx="2"/>').format(_n(low), _n(max(1, high - low))))
    parts.append(Markup('<circle class="dot" cx="{}" cy="9" r="2"/>').format(_n(2 + 116 * row.score)))
    return Markup('<svg class="bar" viewBox="0 0 120 18" aria-hidden="true">{}</svg>').format(Markup("").join(parts))


def rank_set(row: Row, count: int) -> Markup:
    """The ranks that an entry may have, as a bar among all ranks of its track."""
    if row.rank_low is None or row.rank_high is None:
        return Markup("")
    step = 76 / max(1, count)
    left, width = 2 + step * (row.rank_low - 1), max(2.0, step * (row.rank_high - row.rank_low + 1) - 1)
    return Markup('<svg class="ranks" viewBox="0 0 80 12" aria-hidden="true"><path class="axis" d="M2 6H78"/>'
                  '<rect class="set" x="{}" y="2" width="{}" height="8" rx="2"/></svg>').format(_n(left), _n(width))


def by_rank(title: str, rows: Sequence[Row]) -> Markup:
    """Scores in order of rank with their intervals; baselines as dashed lines with their names. 2017's figure of results."""
    scored = [row for row in rows if row.score is not None]
    places = {row.name: _RANKS.x((at + 0.5) / len(scored)) for at, row in enumerate(scored)}
    body = [_grid(_RANKS, "score")]
    lows = [(places[row.name], row.score_low) for row in scored if row.score_low is not None]
    highs = [(places[row.name], row.score_high) for row in scored if row.score_high is not None]
    body.append(_band(lows, highs, _RANKS))
    baselines = [row for row in scored if row.baseline]
    for row, height in zip(baselines, _apart([_RANKS.y(row.score or 0) for row in baselines]), strict=True):
        at = _RANKS.y(row.score or 0)
        body.append(Markup('<path class="base" d="M{} {}H{}L{} {}"/><text class="note" x="{}" y="{}">{}</text>').format(
            _n(_RANKS.left), _n(at), _n(_RANKS.right), _n(_RANKS.right + 8), _n(height), _n(_RANKS.right + 10), _n(height + 3),
            _name(row.name)))
    body.append(_line([(places[row.name], row.score or 0) for row in scored], _RANKS))
    if len(scored) <= _MOST_DOTS:
        body += [_dot(places[row.name], row.score, f"{row.rank}. {row.name}: {share(row.score)}"
                      + (f" ({span(row.score_low, row.score_high)})" if row.score_low is not None else ""), _RANKS,
                      "dot hollow" if row.baseline else "dot") for row in scored]
    body.append(Markup('<text class="tick" text-anchor="middle" x="{}" y="206">rank 1 to {}</text>').format(
        _n(_RANKS.x(0.5)), len(scored)))
    text = f"{title}: scores by rank, from {share(scored[0].score)} to {share(scored[-1].score)}; the numbers are in the table."
    return _svg(380, 212, text, body)


def curve(entry: Curve) -> Markup:
    """One entry's score against the bound with its 95 % intervals."""
    known = [point for point in entry.points if point.score is not None]
    ends = [point.bound for point in entry.points]
    reach = max(1, max(ends, default=1) - min(ends, default=0))

    def x(point: Point) -> float:
        return _SMALL.x((point.bound - min(ends)) / reach)

    body = [_grid(_SMALL, "", labels=(0, 1)),
            _band([(x(p), p.low) for p in known if p.low is not None],
                  [(x(p), p.high) for p in known if p.high is not None], _SMALL),
            _line([(x(p), p.score or 0) for p in known], _SMALL)]
    body += [_dot(x(p), p.score, f"{entry.bound} {p.bound}: {share(p.score)}", _SMALL) for p in known]
    for at in {min(ends, default=0), max(ends, default=0)}:
        body.append(Markup('<text class="tick" text-anchor="middle" x="{}" y="81">{}</text>').format(
            _n(_SMALL.x((at - min(ends, default=0)) / reach)), at))
    text = f"{plain(entry.name, 80)}: " + ", ".join(f"{share(p.score)} at {entry.bound} {p.bound}" for p in known)
    return _svg(152, 84, text, body)


def by_queries(entry: QueryCurve, *, distance: bool = False) -> Markup:
    """Share of images fooled or hit, or the median change that did, against queries on a logarithmic scale."""
    points = entry.points
    reach = math.log(max(2, points[-1].queries))
    values = [point.distance if distance else point.earned for point in points]
    most = max((value for value in values if value is not None), default=0) or 1 if distance else 1
    line = [(_SMALL.x(math.log(point.queries) / reach), value / most) for point, value in zip(points, values, strict=True)
            if value is not None]
    body = [_grid(_SMALL, "", labels=(0,) if distance else (0, 1)), _line(line, _SMALL), *(
        Markup('<text class="tick" text-anchor="{}" x="{}" y="81">{}</text>').format(
            anchor, _n(_SMALL.x(math.log(point.queries) / reach)), f"{point.queries:,}")
        for anchor, point in (("start", points[0]), ("end", points[-1])))]
    what = "median change that earned an image" if distance else "share earned"
    some = [*points[::8], points[-1]]
    text = f"{plain(entry.name, 80)}, {what}: " + ", ".join(
        f"{point.distance if distance else share(point.earned)} by {point.queries:,}" for point in some) + " queries"
    return _svg(152, 84, text, body)


def score_histogram(name: str, found: Histogram) -> Markup:
    """A detector's scores of attacked images beside those of clean ones, all attacks together."""
    most = max(1, *found.attacked, *found.clean)
    wide = (_HALF.right - _HALF.left) / len(found.clean)
    bars = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
            kind, _n(_HALF.left + wide * (at + side)), _n(_HALF.y(count / most)), _n(wide / 2 - .4),
            _n(_HALF.bottom - _HALF.y(count / most)),
            f"{low:.3g} to {high:.3g}: {count:,} {words}")
        for side, kind, words, counts in ((0, "clean", "clean", found.clean), (.5, "attacked", "attacked", found.attacked))
        for at, (count, low, high) in enumerate(zip(counts, found.edges, found.edges[1:], strict=False)) if count)
    ends = Markup("").join(
        Markup('<text class="tick" text-anchor="{}" x="{}" y="121">{}</text>').format(anchor, _n(x), f"{edge:.3g}")
        for anchor, x, edge in (("start", _HALF.left, found.edges[0]), ("end", _HALF.right, found.edges[-1])))
    key = Markup('<rect class="clean" x="26" y="2" width="8" height="8"/><text class="tick" x="37" y="10">clean</text>'
                 '<rect class="attacked" x="76" y="2" width="8" height="8"/><text class="tick" x="87" y="10">attacked</text>')
    base = Markup('<path class="grid" d="M{} {}H{}"/>').format(_n(_HALF.left), _n(_HALF.bottom), _n(_HALF.right))
    return _svg(240, 126, f"{plain(name, 80)}: histogram of its scores, clean and attacked; the figures are in its table.",
                [base, bars, ends, key])


def roc_curves(name: str, attacks: Sequence[DetectedAttack], found: float | None) -> Markup:
    """ROC curves of a detector's hardest attacks, and where its threshold at 5 % false positives is over all attacks together.

    Args:
        name: The detector's.
        attacks: Hardest first.
        found: Share of attacked images above that threshold; None where the images are too few for one.
    """
    body = [_grid(_ROC, "found", labels=(0, .5, 1)), _line([(_ROC.x(0), 0), (_ROC.x(1), 1)], _ROC, "base")]
    shown = [attack for attack in attacks if attack.roc][:_MOST_ROC]
    for attack in shown[::-1]:
        points = [*attack.roc[:-1:max(1, len(attack.roc) // _ROC_POINTS)], attack.roc[-1]]
        line = _path([(_ROC.x(false), true) for false, true in points], _ROC)
        body.append(Markup('<path class="line{}" d="M{}"><title>{}</title></path>').format(
            "" if attack is shown[0] else " thin", line, f"{plain(attack.name, 80)}: area {share(attack.auroc)}"))
    if found is not None:
        body.append(_dot(_ROC.x(.05), found, f"at 5 % false positives {share(found)} of all attacked images", _ROC))
    body.append(Markup('<text class="tick" text-anchor="middle" x="{}" y="121">clean images flagged</text>').format(_n(_ROC.x(.5))))
    text = f"{plain(name, 80)}: ROC curves of its hardest attacks, " + ", ".join(
        f"{plain(attack.name, 40)} with an area of {share(attack.auroc)}" for attack in shown)
    return _svg(150, 126, text, body)


def of_rounds(title: str, bests: Sequence[BestOfRound]) -> Markup:
    """The best score of each round of one track, and the best baseline's as a dashed line. 2017's figure of progress."""
    count = max(1, len(bests) - 1)
    own = [(_ROUNDS.x(at / count), best.own.score or 0) for at, best in enumerate(bests) if best.own]
    base = [(_ROUNDS.x(at / count), best.baseline.score or 0) for at, best in enumerate(bests) if best.baseline]
    body = [_grid(_ROUNDS, "best score"), _line(base, _ROUNDS, "base"), _line(own, _ROUNDS)]
    body += [_dot(_ROUNDS.x(at / count), best.own.score, f"{best.round}: {best.own.name} {share(best.own.score)}", _ROUNDS)
             for at, best in enumerate(bests) if best.own]
    body += [Markup('<text class="tick" text-anchor="middle" x="{}" y="176">{}</text>').format(
        _n(_ROUNDS.x(at / count)), plain(shorten(best.round, 12))) for at, best in enumerate(bests)]
    return _svg(340, 182, f"{title}: the best score of each round; the numbers are in the table below.", body)


def _svg(width: int, height: int, text: str, body: Iterable[Markup]) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, plain(text), Markup("").join(body))


def _grid(box: _Box, title: str, labels: Sequence[float] = (0, 0.25, 0.5, 0.75, 1)) -> Markup:
    lines = Markup("").join(
        Markup('<path class="grid" d="M{} {}H{}"/><text class="tick" text-anchor="end" x="{}" y="{}">{}</text>').format(
            _n(box.left), _n(box.y(at)), _n(box.right), _n(box.left - 4), _n(box.y(at) + 3), f"{at:g}") for at in labels)
    named = Markup('<text class="tick" x="{}" y="{}">{}</text>').format(_n(box.left), _n(box.top - 4), title) if title else ""
    return lines + named


def _line(points: Sequence[tuple[float, float]], box: _Box, kind: str = "line") -> Markup:
    if not points:
        return Markup("")
    return Markup('<path class="{}" d="M{}"/>').format(kind, _path(points, box))


def _band(lows: Sequence[tuple[float, float]], highs: Sequence[tuple[float, float]], box: _Box) -> Markup:
    if not lows or len(lows) != len(highs):
        return Markup("")
    return Markup('<path class="band" d="M{}L{}Z"/>').format(_path(highs, box), _path(lows[::-1], box))


def _path(points: Sequence[tuple[float, float]], box: _Box) -> str:
    return "L".join(f"{_n(x)} {_n(box.y(value))}" for x, value in points)


def _dot(x: float, value: float | None, title: str, box: _Box, kind: str = "dot") -> Markup:
    return Markup('<circle class="{}" cx="{}" cy="{}" r="2.6"><title>{}</title></circle>').format(
        kind, _n(x), _n(box.y(value or 0)), plain(title, 200))


def _apart(heights: Sequence[float]) -> list[float]:
    """The same heights moved as far as names below each other need; they come in descending order of score."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + _LINE) if moved else height)
    over = (moved[-1] if moved else 0) - _RANKS.bottom
    return [max(_RANKS.top, height - over) if over > 0 else height for height in moved]


def _name(name: str) -> str:
    return shorten(plain(name, 200), _NAME)


def _n(value: float) -> str:
    """A coordinate to a tenth, without superfluous zeros."""
    return f"{value:.1f}".removesuffix(".0")
