"""A real browser, and a console for it to look at."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from std_test_kit.beamline import Beamline
from std_test_kit.free_ports import free_udp_ports
from std_test_kit.web_process import WebProcess

OpenPage = Callable[..., Page]
HEIGHT, WIDTH = 1024, 1024
PATIENCE_MS = 30_000


# Playwright's synchronous interface keeps an event loop running in its thread; for the whole session, it would fail
# each later test of the same worker that calls asyncio.run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: install Debian's package chromium, or run scripts/test, which does it"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Containers forbid the sandbox, and root may not use it.
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open an address in a window of its own, and wait until its view is there.

    ``is_shown=False``: not, as the page shows no view yet, or is none of the console.

    The test fails if the page has an error or asks another host.

    ``open_page(url, width=390, height=844, theme="light")``
    """
    contexts = []
    faults: list[str] = []

    def open_one(url: str, *, width: int = 1280, height: int = 800, theme: Any = "dark", is_shown: bool = True) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        host = url.split("/")[2]
        page.on("pageerror", lambda error: faults.append(f"{error.name}: {error.message}\n{error.stack}"))
        page.on("console", lambda message: _note_violation(message.text, faults))
        page.on("request", lambda request: _note_foreign(request.url, host, faults))
        page.on("websocket", lambda socket: _note_foreign(socket.url, host, faults))
        page.goto(url)
        if is_shown:
            page.wait_for_selector("#view:not([aria-busy])")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not faults, faults


def _note_violation(text: str, faults: list[str]) -> None:
    if "Content Security Policy" in text:
        faults.append(text)


def _note_foreign(url: str, host: str, faults: list[str]) -> None:
    if url.split(":")[0] not in {"blob", "data"} and url.split("/")[2] != host:
        faults.append(f"the page asked for {url}")


@pytest.fixture
def detector_document(tmp_path: Path, shm_dir: Path, runtime: Path) -> dict[str, Any]:
    """A JUNGFRAU of two modules that is near a sample."""
    return {
        "detector_name": runtime.name,
        "detector_type": "jungfrau",
        "n_modules": 2,
        "bit_depth": 16,
        "image_pixel_height": HEIGHT,
        "image_pixel_width": WIDTH,
        "module_positions": {"0": [0, 0, 1023, 511], "1": [0, 512, 1023, 1023]},
        "start_udp_port": free_udp_ports(2),
        "ram_buffer_gb": 0.4,
        "udp": {"address": "127.0.0.1"},
        "shared_memory": {"directory": str(shm_dir), "frame_buffer_gb": 0.3},
        "writer": {"output_roots": [str(tmp_path)], "image_timeout_s": 3.0, "min_free_gb": 0.0},
        "nexus": {
            "distance_m": 0.1,
            "wavelength_angstrom": 1.0,
            "beam_center_px": [512, 500],
            "saturation_value": 60000,
        },
    }


@pytest.fixture
def beamline(tmp_path: Path, broker_url: str, detector_document: dict[str, Any]) -> Iterator[Beamline]:
    """All services of that detector."""
    with Beamline(tmp_path, broker_url, detector_document) as running:
        yield running


@pytest.fixture
def web(tmp_path: Path, beamline: Beamline) -> Iterator[WebProcess]:
    """The console of that detector."""
    with WebProcess(tmp_path, beamline.config_file) as running:
        yield running


@pytest.fixture
def idle_web(tmp_path: Path, detector_document: dict[str, Any]) -> Iterator[WebProcess]:
    """A console of two detectors of which no service runs."""
    files = []
    for name in ("first", "second"):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({**detector_document, "detector_name": name}))
        files.append(file)
    with WebProcess(tmp_path, *files) as running:
        yield running
