"""Heat maps as tables: each cell a number, a colour by its class, and a link to its pair; 17,820 cells are one string each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from harness.tracks import consumes, detects
from harness.untrusted_text import plain
from harness.views.report import HeatMap
from harness.views.words import shorten

#: Colours; ``report.css`` has one class for each, h0 for no harm to h20 for all images lost.
_STEPS = 20
_NAME = 30
#: Instead of a percentage: nothing known yet, a pair that is not run, and a pair without an image.
_UNKNOWN, _CLOSED, _NOTHING = -1, -2, -3
_EMPTY = {_UNKNOWN: "<td>", _CLOSED: '<td class="shut">x', _NOTHING: '<td class="shut">.'}


def heat_map(found: HeatMap, places: Mapping[str, int], *, linked: bool) -> Markup:
    """The body of a table: heads of the defenses, then a row per attack.

    Args:
        found: The scores.
        places: Positions of the entries on their sides.
        linked: Whether the rows of the pairs are on the page, so that a cell can lead to its own.
    """
    view, linked = found.view, linked and not detects(found.track)
    heads = Markup("").join(Markup('<th scope="col"><span>{}</span>').format(_name(entry.name)) for entry in view.columns)
    columns = [places[entry.name] for entry in view.columns]
    rows = []
    for line in view.lines:
        percents = np.nan_to_num(np.rint(100 * line.scores), nan=_UNKNOWN).astype(int).tolist()
        harm = 1 - line.scores if consumes(found.track) else line.scores
        steps = np.nan_to_num(np.rint(_STEPS * harm), nan=0).astype(int).tolist()
        attack = places.get(line.name)
        # Numbers only: no untrusted text gets into these strings.
        for mark, places_of_it in ((_CLOSED, line.closed), (_NOTHING, line.empty)):
            for at in places_of_it:
                percents[at] = mark
        cells = "".join(
            _EMPTY[percent] if percent < 0 else f'<td class="h{step}">{percent}' if attack is None or not linked
            else f'<td class="h{step}"><a href="#p{attack}-{column}">{percent}</a>'
            for percent, step, column in zip(percents, steps, columns, strict=True))
        first = Markup(' class="first"') if line.begins_track else ""
        head = Markup('<tr{}><th scope="row">{}{}').format(first, _name(line.name), "*" if line.baseline else "")
        rows.append(head + Markup(cells))  # noqa: S704 - see above
    return Markup("<thead><tr><th>{}<tbody>{}").format(heads, Markup("\n").join(rows))


def _name(name: str) -> str:
    return shorten(plain(name, 200), _NAME)
