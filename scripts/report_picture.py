#!/usr/bin/env python3
"""The picture of a report that the README shows, from any report.

    scripts/report_picture.py docs/report.html

writes docs/img/report.png: the top of the page, and below it its heat map and its gallery. Needs chromium, its driver and selenium.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).resolve().parent.parent
WIDTH, TOP, BELOW, MAP, GAP, SCALE = 1260, 960, 590, 650, 24, 0.74
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
              "--disable-sync", "--hide-scrollbars")


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--png", type=Path, default=ROOT / "docs" / "img" / "report.png")
    given = parser.parse_args()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False})
            driver.get(given.report.resolve().as_uri())
            sheet = Image.new("RGB", (WIDTH, TOP + BELOW), "white")
            sheet.paste(_part(driver, "html", WIDTH, TOP), (0, 0))
            sheet.paste(_part(driver, "table.heat", MAP, BELOW), (0, TOP + GAP))
            sheet.paste(_part(driver, ".gallery thead th + th", WIDTH - MAP - GAP, BELOW), (MAP + GAP, TOP + GAP))
        finally:
            driver.quit()
    small = sheet.resize((round(WIDTH * SCALE), round((TOP + BELOW) * SCALE)), Image.Resampling.LANCZOS)
    small.quantize(128, dither=Image.Dither.NONE).save(given.png, optimize=True)


def _part(driver: webdriver.Chrome, selector: str, width: int, height: int) -> Image.Image:
    """A part of the page, from an element's corner on."""
    left, top = driver.execute_script("const box = document.querySelector(arguments[0]).getBoundingClientRect(); "
                                      "return [box.left, box.top + scrollY]", selector)
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {
        "format": "png", "captureBeyondViewport": True,
        "clip": {"x": left, "y": top, "width": width, "height": height, "scale": 1}})
    return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")


if __name__ == "__main__":
    main()
