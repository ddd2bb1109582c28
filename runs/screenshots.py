"""Pictures of the service's page, made by Debian's Chromium: ``python runs/screenshots.py FOLDER [--all]``.

The default model is served on a free port, the page is used as a person would, and each state is saved as a PNG; only
the two of the README without ``--all``. Texts are those of the packaged sample.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from finsa_moe.data import samples

TEXTS = [
    "放量突破前高，拿稳了，这波行情才刚开始！",
    "北屿医药因信息披露违规被立案调查，股价开盘跌停",
    "公司拟于下周三召开临时股东大会，审议董事会换届事项",
    "说好的翻倍呢？我都快跌没了，还在喊加仓",
    "澜石科技上半年净利润同比增长三成，拟每十股派现五元",
]
DISPUTED = "机构还在喊加仓，我已经跑了"


@contextmanager
def served() -> Iterator[str]:
    """The address of the running service."""
    command = [sys.executable, "-m", "finsa_moe", "serve", "--port", "0"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr
    found = re.match(r"(http://\S+)", running.stderr.readline())
    assert found
    try:
        yield found[1]
    finally:
        running.terminate()
        running.wait(30)


def dated(folder: Path) -> Path:
    """The sample's posts and news, spread over weeks and five tickers."""
    rows = [row for name in ("news", "forum") for row in csv.DictReader(samples.path(name).open(encoding="utf-8"))]
    path = folder / "posts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "ticker", "text"])
        for at, row in enumerate(rows):
            day = date(2026, 8, 3) + timedelta(days=(at * 37) % 60)
            writer.writerow([day.isoformat(), f"60{at * 7 % 5:02d}18", row["text"]])
    return path


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with served() as address, sync_playwright() as playwright, tempfile.TemporaryDirectory() as work:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        states = [("zh-CN", "light"), ("en-US", "dark")]
        for language, scheme in states if args.all else states[:1]:
            page = browser.new_page(
                locale=language, color_scheme=scheme, reduced_motion="reduce", viewport={"width": 1080, "height": 860}
            )
            name = f"-{language[:2]}-{scheme}" if args.all else ""
            texts(page, address, args.folder / f"page-texts{name}.png")
            if args.all:
                compared(page, args.folder / f"page-compare{name}.png")
            filed(page, dated(Path(work)), args.folder / f"page-file{name}.png")
            page.close()
        if args.all:
            page = browser.new_page(locale="zh-CN", viewport={"width": 390, "height": 844}, reduced_motion="reduce")
            texts(page, address, args.folder / "page-phone.png")
        browser.close()


def saved(page: Any, path: Path) -> None:
    """The whole page in 256 colours, which no eye tells from all of them at a third of the bytes."""
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def texts(page: Any, address: str, path: Path) -> None:
    """Texts judged, with their reasons."""
    page.goto(address)
    page.fill("#words", "\n".join(TEXTS))
    page.click("#go")
    page.wait_for_selector("#answers li")
    saved(page, path)


def compared(page: Any, path: Path) -> None:
    """One text before two experts."""
    page.click("#tab-compare")
    page.fill("#one", DISPUTED)
    page.click("#versus")
    page.wait_for_selector("#sides article")
    saved(page, path)


def filed(page: Any, file: Path, path: Path) -> None:
    """A file answered and drawn."""
    page.click("#tab-file")
    page.set_input_files("#chosen", str(file))
    page.click("#send")
    page.wait_for_selector("#time", timeout=120_000)
    saved(page, path)


if __name__ == "__main__":
    main()
