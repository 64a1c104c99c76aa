"""Pictures of the console's page for the docs, taken of a running ``scripts/demo --web``."""

import argparse
import re
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

FOLDER = Path(__file__).parent.parent / "docs" / "how-to" / "images"
PATIENCE_MS = 30_000
# Enough for the plots to have a line.
SETTLE_MS = 8_000
MAX_BYTES = 120_000


def main() -> None:
    """Take a picture of the state and one of the image."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:5000", help="address of the page")
    address: str = parser.parse_args().address
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is missing: install Debian's package chromium")
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark").new_page()
        for view in ("image", "state"):
            page.goto(f"{address}/?view={view}")
            if view == "image":
                live = re.compile(r"live · [\d.]+ images/s")
                expect(page.locator(".word")).to_contain_text(live, timeout=PATIENCE_MS)
            page.wait_for_timeout(SETTLE_MS)
            file = FOLDER / f"console-{view}.webp"
            Image.open(BytesIO(page.screenshot())).save(file, quality=80, method=6)
            if file.stat().st_size > MAX_BYTES:
                raise SystemExit(f"{file} has {file.stat().st_size} bytes, more than {MAX_BYTES}")
        browser.close()


if __name__ == "__main__":
    main()
