"""`harness report` and `harness run --report` on a real tournament of tiny programs."""

from __future__ import annotations

import re

import pytest

from harness.cli.main import main
from harness.config import load
from harness.report.html.live import LiveReport
from tests.e2e import make
from tests.e2e.conftest import Place

PROGRAMS = ("attack-noise", "targeted-step", "defense-mean")
FAILS = "print('before the fall')\nraise ValueError('no weights <here>')\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    found = Place(tmp_path_factory.mktemp("reported"))
    make.tournament(found.root, PROGRAMS)
    entry = make.entry(found.root / "entries" / "defense-falls", "defense-mean", metadata={"team": "<b>us</b>"})
    (entry / "run").write_text(make.HEAD + FAILS)
    with pytest.MonkeyPatch.context() as patch:
        assert command(found, patch, "run", "--report", "live.html") == 0
    return found


def command(place: Place, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.chdir(place.root)
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["harness", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def written(place: Place, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    code = command(place, monkeypatch, "report", *words)
    path = place.root / "out.html"
    return code, path.read_text() if path.exists() else ""


def test_a_run_leaves_its_last_state(place):
    page = (place.root / "live.html").read_text()
    assert "Complete: 24 runs, 9 failed" in page
    assert 'http-equiv="refresh"' not in page


def test_the_report_has_every_part(place, monkeypatch):
    code, page = written(place, monkeypatch, "--out", "out.html")
    assert code == 0
    for part in ("tables", "ranks", "map", "epsilon", "gallery", "entries", "method"):
        assert f'<section id="{part}">' in page
    assert "Only epsilon 8" in page
    images = re.findall(r'<img src="data:image/webp;base64,[A-Za-z0-9+/=]+"', page)
    assert len(images) == 3 + 2 * 2 * 3, "the clean ones, then what each attack made of each and the difference"
    assert "tiny: 30 images of 8 x 8" in page
    assert str(place.root / "entries") not in page, "where an entry came from is the organiser's"


def test_it_says_with_which_isolation_its_results_were_obtained(place, monkeypatch):
    plain = place.config.read_text()
    try:
        for isolation in ("run", "submission"):
            place.config.write_text(plain.replace("backend: process", f"backend: process\n  isolation: {isolation}"))
            assert f"process, isolation {isolation}" in written(place, monkeypatch, "--out", "out.html")[1]
    finally:
        place.config.write_text(plain)


def test_a_failed_run_says_why_and_how_to_repeat_it(place, monkeypatch):
    _, page = written(place, monkeypatch, "--out", "out.html")
    entry = page[page.index('data-name="defense-falls"'):]
    assert "&lt;b&gt;us&lt;/b&gt;" in entry
    for words in ("exited_nonzero", "no weights &lt;here&gt;", "before the fall", "harness run --fresh defense-falls --only"):
        assert words in entry
    assert "1 failed run more" in entry


def test_rounds_are_compared(place, monkeypatch):
    assert command(place, monkeypatch, "run", "--round", "dev") == 0
    _, page = written(place, monkeypatch, "--out", "out.html")
    assert '<section id="rounds">' in page
    code, page = written(place, monkeypatch, "--out", "out.html", "--round", "default")
    assert code == 0
    assert "<span>/ <bdi>default</bdi></span>" in page


@pytest.mark.parametrize("words", [("--round", "none"), ("--out", "."), ("--out", "data/metadata.csv/x"),
                                   ("--config", "none.yaml")], ids=" ".join)
def test_bad_input_is_a_sentence(place, monkeypatch, capfd, words):
    code, _ = written(place, monkeypatch, *words)
    assert code == 2
    assert "Traceback" not in capfd.readouterr().err


def test_a_page_is_written_beside_the_run_and_problems_are_told_once(place, monkeypatch):
    config, told, pages = load(place.config), [], []
    monkeypatch.setattr("harness.report.html.live._FIRST_S", 0.0)
    monkeypatch.setattr("harness.report.html.live.write_report", lambda view, path, live: pages.append((view.complete, live)))
    live = LiveReport(config, place.config, None, place.root / "beside.html", told.append)
    with live:
        live._thread.join(0.01)
        while not pages:
            assert live._thread.is_alive()
    assert pages[0] == (True, True)
    assert pages[-1] == (True, False)
    assert told == []
