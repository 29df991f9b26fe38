"""The page as text: what is in it, how large it is, and that it is well formed whatever strangers write."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from harness.report.html.page import render, write_report
from harness.scoring import CORRECT
from harness.scoring.leaderboard import build_leaderboard, build_matrix, duel_matrices
from harness.tracks import Threat
from harness.views.report import EntryView
from harness.views.report_reader import scored
from harness.views.submission import SubmissionView, detected, met
from tests.detectors import contest
from tests.report.conftest import make_results
from tests.report.html.views import HOSTILE, made_report
from tests.report.test_duels import duel_round
from tests.test_untrusted_text import fit

#: All that the template and the charts are made of.
ELEMENTS = {
    "html", "head", "meta", "link", "title", "style", "script", "body", "header", "nav", "main", "section", "footer", "div", "p",
    "h1", "h2", "h3", "a", "bdi", "span", "small", "b", "i", "pre", "code", "ul", "li", "dl", "dt", "dd", "details", "summary",
    "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "img", "svg", "rect", "path", "circle", "text"}


class Outline(HTMLParser):
    """Elements with their attributes, and all text but the script's and the style's."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._raw = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = tag

    def handle_endtag(self, tag) -> None:
        self._raw = ""

    def handle_data(self, data) -> None:
        if self._raw not in {"script", "style"}:
            self.text.append(data)


def test_the_policy_lets_in_our_own_script_and_style_and_nothing_else():
    page = render(made_report())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    script, style = (re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1] for tag in ("script", "style"))
    digests = [f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (script, style)]
    assert policy.split("; ") == ["default-src 'none'", "img-src data:", f"style-src {digests[1]}", f"script-src {digests[0]}",
                                  "base-uri 'none'", "form-action 'none'"]
    assert len(script.encode()) < 15_000
    assert not re.search(r"https?://", page)


def hostile_duels() -> str:
    """A page on which all that a stranger can write of a duel or a detector is hostile."""
    evil, scores = list(HOSTILE.values()), np.linspace(0, 1, 80, dtype=np.float32).reshape(2, 40)
    results, watched = duel_round(), contest(dict.fromkeys(evil[:6], (scores, scores[::-1])))
    duels = tuple(
        replace(one, defenses=(evil[8], evil[9]), attacks=tuple(
            replace(entry, name=evil[at], team=evil[at + 1]) for at, entry in enumerate(one.attacks, first)))
        for one, first in zip(results.duels, (0, 2), strict=True))
    results = replace(results, duels=duels, defenses=tuple(
        replace(entry, name=name) for entry, name in zip(results.defenses, evil[8:10], strict=True)))
    view, entries = scored(results, [16]), []
    for entry in results.entries:
        opponents, _ = met(build_matrix(results), duel_matrices(results), entry)
        entries.append(EntryView(submission=SubmissionView(entry, opponents=opponents)))
    for entry in watched.detectors:
        against, histogram = detected(watched, entry.name)
        (row,) = (row for row in build_leaderboard(watched, resamples=0).tracks["detector"] if row.name == entry.name)
        against = tuple(replace(one, name=evil[6]) for one in against)
        entries.append(EntryView(submission=SubmissionView(entry, row=row, detected=against, histogram=histogram)))
    return render(replace(view, entries=tuple(entries)))


@pytest.mark.parametrize("duels", [False, True])
def test_hostile_text_becomes_no_element_no_attribute_and_no_control(duels: bool) -> None:
    page = hostile_duels() if duels else render(made_report(15, 4, 8, hostile=True))
    found = Outline(page)
    assert {tag for tag, _ in found.elements} <= ELEMENTS
    assert sum(tag == "script" for tag, _ in found.elements) == 1
    names = {name for _, attributes in found.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in {"style", "srcdoc", "action", "autofocus"}}
    assert all(attributes["href"].startswith(("#", "data:,")) for _, attributes in found.elements if "href" in attributes)
    assert all(attributes["src"].startswith("data:image/webp;base64,") for _, attributes in found.elements if "src" in attributes)
    assert fit(page)
    text = "".join(found.text)
    for name in ("script", "handler") if duels else ("script", "handler", "meta", "entity", "template"):
        assert HOSTILE[name] in text, name


@pytest.mark.parametrize("hostile", [False, True])
def test_every_link_leads_to_a_part_of_the_page_and_no_name_stands_twice(hostile: bool):
    found = Outline(render(made_report(hostile=hostile)))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {unquote(attributes["href"][1:]) for _, attributes in found.elements
             if attributes.get("href", "").startswith("#")}
    assert links <= set(ids)
    assert {"defense/defense_3", "p0-0", "attack/attack_2"} <= links or hostile


def test_what_a_round_does_not_have_is_not_shown():
    page = render(replace(made_report(targeted=0), gallery=None, curves=(), rounds=(), entries=()))
    shown = {attributes["id"] for tag, attributes in Outline(page).elements if tag == "section" and "id" in attributes}
    assert shown == {"tables", "ranks", "map", "method"}
    assert "Targeted attacks" not in page


@pytest.mark.parametrize(("attacks", "defenses"), [(0, 0), (3, 0), (0, 3)])
def test_a_round_without_one_side_has_a_page(attacks: int, defenses: int):
    page = render(scored(make_results(attacks, 0, defenses), [16, 64]))
    assert "Tables" in page


def test_only_an_incomplete_page_that_is_written_again_reloads_itself():
    view = made_report()
    waiting = replace(view, board=replace(view.board, runs=replace(view.board.runs, done=50)))
    reloads = '<meta http-equiv="refresh" content="60">'
    assert reloads in render(waiting, live=True)
    assert "reloads itself every 60 s" in render(waiting, live=True)
    for page in (render(waiting), render(view, live=True)):
        assert "refresh" not in Outline(page).elements[5][1].values()
        assert reloads not in page
    assert "50 of 100 runs (50 %)" in render(waiting)


def test_the_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_report(made_report(), path)
    first = path.read_text()
    monkeypatch.setattr("harness.report.html.page.render", lambda *_, **__: "\udcff")
    with pytest.raises(UnicodeEncodeError):
        write_report(made_report(), path)
    assert path.read_text() == first
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_attacks_of_several_threats_have_a_map_each():
    results = make_results()
    threats = {entry.name: "l2" if at % 2 else "linf" for at, entry in enumerate(results.attacks)}
    view = scored(results, [0, 0], threats)
    assert [found.part for found in view.maps if found.track == "defense"] == ["", "threat linf", "threat l2"]
    of_l2 = next(found.view for found in view.maps if found.part == "threat l2")
    assert {line.name for line in of_l2.lines} - {"clean"} == {name for name, threat in threats.items() if threat == "l2"}
    assert view.curves == ()
    assert "Only threat l2" in render(view)


def test_detectors_have_their_table_map_and_entries():
    generator = np.random.default_rng(7)
    sides = (generator.random((2, 40)).astype(np.float32) + np.float32(0.5), generator.random((2, 40)).astype(np.float32))
    results = contest({"watch": sides, "blind": (sides[1], sides[1])})
    view = scored(results, [0] * results.attack_done.shape[1])
    (found,) = (each for each in view.maps if each.track == "detector")
    assert [entry.name for entry in found.view.columns] == ["watch", "blind"]
    against, histogram = detected(results, "watch")
    entry = EntryView(submission=SubmissionView(results.detectors[0], detected=against, histogram=histogram))
    page = render(replace(view, entries=(entry,)))
    assert 'id="detector/watch"' in page
    assert "Areas under the ROC curve, hardest first" in page
    assert f"{against[0].auroc:.3f}" in page


def test_duels_have_their_tables_maps_and_curves() -> None:
    results = duel_round()
    view = scored(results, [16])
    entries = []
    for entry in results.entries:
        opponents, _ = met(build_matrix(results), duel_matrices(results), entry)
        entries.append(EntryView(submission=SubmissionView(entry, opponents=opponents)))
    page = render(replace(view, entries=tuple(entries)))
    assert [found.part for found in view.maps if found.track == "defense"] == ["", "duels, white box", "duels, query"]
    assert [curve.name for curve in view.queries] == ["asks"]
    for text in ("Non-targeted attacks, white box", "Robust accuracy <small>", "Only duels, query", 'id="queries"',
                 "median change, at most 2,000", '<td class="shut">x', "<td>closed<td>0", '<td class="left">white box'):
        assert text in page
    places, links = set(re.findall(r' id="(p[0-9-]+)"', page)), set(re.findall(r'href="#(p[0-9-]+)"', page))
    assert links <= places
    assert f"p{view.places['aimed']}-{view.places['open']}" in links
    page = render(scored(replace(results, duels=()), [16]))
    for text in ("Robust accuracy", "white box", 'id="queries"', "closed", "one defense at a time"):
        assert text not in page


def test_detectors_have_pictures_of_their_scores() -> None:
    generator = np.random.default_rng(7)
    sides = (generator.random((2, 40)).astype(np.float32) + np.float32(0.5), generator.random((2, 40)).astype(np.float32))
    results = contest({"watch": sides})
    view = scored(results, [0] * results.attack_done.shape[1])
    against, histogram = detected(results, "watch")
    (row,) = view.board.tracks["detector"]
    shown = replace(row, figures={**row.figures, "tpr_at_5_fpr": .25})
    entry = EntryView(submission=SubmissionView(results.detectors[0], row=shown, detected=against, histogram=histogram))
    page = render(replace(view, entries=(entry,)))
    assert histogram is not None
    assert 'id="detectors"' in page
    bars = re.findall(r'<rect class="(clean|attacked)"[^>]*><title>[^:]*: ([0-9,]+) ', page)
    assert sorted(int(count) for kind, count in bars if kind == "clean") == sorted(count for count in histogram.clean if count)
    assert sum(int(count) for kind, count in bars if kind == "attacked") == sum(histogram.attacked)
    assert f"area {against[0].auroc:.3f}" in page
    assert "at 5 % false positives 0.250" in page
    assert 'id="detectors"' not in render(view)


def test_each_threat_with_several_bounds_has_its_curves() -> None:
    results = make_results(4, 0, 2)
    kinds = [Threat.LINF, Threat.L2, Threat.UNRESTRICTED, Threat.L2]
    results = replace(results, attacks=tuple(
        replace(entry, threat=threat) for entry, threat in zip(results.attacks, kinds, strict=True)))
    view = scored(results, [0, 0], None, {Threat.LINF: (16, 16), Threat.L2: (256, 128), Threat.UNRESTRICTED: (1, 2)})
    attacks = [curve for curve in view.curves if curve.track == "attack"]
    assert {curve.name for curve in attacks} == {"attack_1", "attack_3"}
    assert {tuple(point.bound for point in curve.points) for curve in view.curves} == {(128, 256)}
    (defense,) = (curve for curve in view.curves if curve.name == "defense_0")
    own = [1, 3]
    right = results.verdicts.codes(1), results.verdicts.codes(3)
    first = results.batch == 0
    shares = [sum(int((codes[0] & CORRECT > 0)[which & results.produced[at]].sum()) for at, codes in zip(own, right, strict=True))
              / int(results.produced[own][:, which].sum()) for which in (~first, first)]
    assert [point.score for point in defense.points] == pytest.approx(shares)
    unused = scored(make_results(4, 0, 2), [0, 0], None, {Threat.LINF: (16, 64), Threat.L2: (256, 128)})
    assert {curve.threat for curve in unused.curves} == {Threat.LINF}
    page = render(view)
    assert "Score against L2 norm" in page
    assert "Scores from 0 to 1 at L2 norm 128, 256, with 95 % intervals." in page
