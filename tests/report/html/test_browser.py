"""The page in chromium: silent, alone, usable; at two widths, in both schemes, without scripts, full of hostile text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.report.html.page import write_report
from tests.report.html.views import HOSTILE, made_report

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

#: As WebDriver has them.
_SELECTOR, _ENTER, _ESCAPE, _TAB = "css selector", "\ue007", "\ue00c", "\ue004"
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
              "--disable-sync", "--disable-dev-shm-usage", "--no-first-run")


class Browser:
    """A driver, and what the page that it shows said and asked for."""

    def __init__(self, profile: Path, *, scripts: bool) -> None:
        # Here, so that a host without it is told of by the marker.
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        if not scripts:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))

    def open(self, path: Path, *, width: int = 1400, dark: bool = False, part: str = "") -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            scheme, {"name": "prefers-reduced-motion", "value": "reduce"}]})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        self.driver.get("about:blank")
        self.said(), self.requests()
        self.driver.get(path.as_uri() + part)

    def said(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        found = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message["params"]["request"]["url"] for message in found if message["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def all(self, selector: str) -> list:
        return self.driver.find_elements(_SELECTOR, selector)

    def one(self, selector: str):
        return self.driver.find_element(_SELECTOR, selector)

    def run(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def names(self, table: str = "table.board") -> list[str]:
        return [element.text for element in self.one(table).find_elements(_SELECTOR, "tbody .name") if element.is_displayed()]


def _browser(factory: pytest.TempPathFactory, *, scripts: bool) -> Iterator[Browser]:
    made = Browser(factory.mktemp("profile"), scripts=scripts)
    yield made
    made.driver.quit()


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    yield from _browser(tmp_path_factory, scripts=True)


@pytest.fixture(scope="module")
def plain_browser(tmp_path_factory) -> Iterator[Browser]:
    """One in which scripts are off."""
    yield from _browser(tmp_path_factory, scripts=False)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(made_report(), path)
    return path


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "hostile.html"
    write_report(made_report(15, 4, 8, hostile=True), path)
    return path


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_silent_asks_for_nothing_and_fits(browser, page, hostile_page, width, dark):
    for path in (page, hostile_page):
        browser.open(path, width=width, dark=dark)
        assert browser.said() == []
        assert browser.requests() == [path.as_uri()]
        assert browser.run("return document.documentElement.scrollWidth") <= width
    paper, ink = browser.run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]")
    assert (sum(map(int, paper[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))) is dark


def test_hostile_text_is_shown_as_text(browser, hostile_page):
    browser.open(hostile_page)
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
    shown = browser.run("return document.body.innerText")
    for name in ("script", "end of script", "end of style", "end of title", "handler", "svg", "attribute", "link", "frame",
                 "comment", "cdata", "entity", "template"):
        assert HOSTILE[name] in shown, name
    assert "red" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert browser.run("return window.pwned") is None
    assert browser.run("return document.scripts.length") == 1
    assert browser.run("return document.images.length === document.querySelectorAll('.gallery img').length")
    assert browser.all("iframe, form, base, object, embed, body link, body meta") == []
    # Their handlers would run under the pointer and the focus.
    for element in browser.all("main a")[:20]:
        browser.run("arguments[0].dispatchEvent(new MouseEvent('mouseover', {bubbles: true})); arguments[0].focus()", element)
    assert browser.run("return window.pwned") is None
    assert browser.said() == []


def test_a_head_sorts_its_table(browser, page):
    browser.open(page)
    assert browser.names()[0] == "attack_5"
    score = next(head for head in browser.one("table.board").find_elements(_SELECTOR, "th") if head.text == "score")
    button = score.find_element(_SELECTOR, "button")
    button.click()
    assert browser.names()[0] == "attack_0"
    assert score.get_attribute("aria-sort") == "ascending"
    button.send_keys(_ENTER)
    assert browser.names()[0] == "attack_5"
    assert score.get_attribute("aria-sort") == "descending"


def test_search_leaves_what_has_the_name_or_the_team(browser, page):
    browser.open(page)
    search = browser.one("#search input")
    search.send_keys("Attack_3")
    assert browser.names() == ["attack_3"]
    assert [entry.get_attribute("data-name") for entry in browser.all("details.entry") if entry.is_displayed()] == [
        "attack_3"]
    search.clear()
    search.send_keys("team 4")
    assert browser.names() == ["attack_4"]


def test_links_open_what_they_lead_to(browser, page):
    browser.open(page, part="#defense/defense_3")
    assert browser.one("details.entry[data-name=defense_3] .body").is_displayed()
    browser.one("#search input").send_keys("defense_1")
    browser.run("document.querySelector('table.heat a[href=\"#p2-4\"]').click()")
    row = browser.run("return document.querySelector(':target')")
    assert row.get_attribute("id") == "p2-4"
    assert row.is_displayed(), "opened, and found although the search hid it"
    assert "defense_4" in row.text


def test_a_cell_of_the_heat_map_says_its_pair(browser, page):
    browser.open(page)
    cell = browser.one("table.heat a")
    browser.run("arguments[0].focus()", cell)
    tip = browser.one("#tip")
    assert tip.is_displayed()
    assert " against defense_" in tip.text
    assert cell.text in tip.text
    browser.one("body").send_keys(_ESCAPE)
    assert not tip.is_displayed()


def test_a_page_that_reloads_itself_keeps_what_was_open(browser, page, tmp_path):
    from dataclasses import replace

    view = made_report()
    path = tmp_path / "live.html"
    write_report(replace(view, board=replace(view.board, runs=replace(view.board.runs, done=50))), path, live=True)
    browser.open(path)
    browser.one("#search input").send_keys("defense_2")
    browser.one("details.entry[data-name=defense_2] summary").click()
    browser.driver.refresh()
    assert browser.one("#search input").get_attribute("value") == "defense_2"
    assert browser.one("details.entry[data-name=defense_2] .body").is_displayed()


def test_without_scripts_everything_can_be_read(plain_browser, page):
    browser = plain_browser
    browser.open(page, part="#defense/defense_3")
    assert browser.said() == []
    assert browser.all("#search input, th button") == []
    text = browser.one("main").text
    for words in ("attack_5", "Scores by rank", "Heat map", "Gallery", "How the figures come about"):
        assert words in text
    entry = browser.one("details.entry[data-name=defense_3]")
    entry.find_element(_SELECTOR, "summary").click()
    shown = entry.find_element(_SELECTOR, ".body").is_displayed()
    entry.find_element(_SELECTOR, "summary").click()
    assert shown != entry.find_element(_SELECTOR, ".body").is_displayed(), "an entry opens without scripts"


def test_who_cannot_see_it_is_told(browser, page):
    browser.open(page)
    assert all(image.get_attribute("alt") for image in browser.all("img"))
    drawn = browser.all("figure > svg")
    assert drawn
    assert all(svg.get_attribute("aria-label") and svg.get_attribute("role") == "img" for svg in drawn)
    assert all(head.get_attribute("scope") for head in browser.all("tbody th"))
    reached = []
    for _ in range(12):
        browser.driver.switch_to.active_element.send_keys(_TAB)
        reached.append(browser.driver.switch_to.active_element.get_attribute("href") or "")
    assert reached[0].endswith("#tables")
    assert any(link.endswith(quote("attack/attack_5")) for link in reached)
