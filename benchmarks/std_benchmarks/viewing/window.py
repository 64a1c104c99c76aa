"""A window of Chromium that shows the live image, and notes how fluent the page is."""

import shutil
from dataclasses import dataclass

from playwright.sync_api import FloatRect, sync_playwright

from std_daq.errors import ResourceError

SIZE = {"width": 1280, "height": 900}
_READY_MS = 60_000
# Before the scripts of the page. Chromium tells tasks that keep the page from answering for more than 50 ms.
_NOTE = """
window.noted = {frames: 0, tasks: []};
const count = () => { window.noted.frames += 1; requestAnimationFrame(count); };
requestAnimationFrame(count);
new PerformanceObserver((list) => window.noted.tasks.push(...list.getEntries().map((entry) => entry.duration)))
  .observe({type: "longtask"});
"""
_TAKE = "() => { const noted = window.noted; window.noted = {frames: 0, tasks: []}; return noted; }"


@dataclass(frozen=True, slots=True)
class Noted:
    """What a page did in some time.

    Parameters
    ----------
    n_frames
        Frames of animation.
    long_tasks_ms
        How long each task lasted that kept the page from answering for more than 50 ms.
    """

    n_frames: int
    long_tasks_ms: tuple[float, ...]


class Window:
    """A window of Chromium.

    Parameters
    ----------
    url
        Address of the live image.
    """

    def __init__(self, url: str) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise ResourceError("chromium is missing: install Debian's package chromium")
        self._playwright = sync_playwright().start()
        # Containers forbid the sandbox, and root may not use it.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        self._browser = self._playwright.chromium.launch(executable_path=program, args=arguments)
        self._page = self._browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
        self._page.set_default_timeout(_READY_MS)
        self._page.add_init_script(_NOTE)
        self._page.goto(url)
        self._state = self._page.locator(".word")
        self._box: FloatRect | None = None

    def wait_live(self) -> None:
        """Wait until the page shows images as they come."""
        self._state.filter(has_text="images/s").wait_for()
        self._box = self._page.locator(".view-image canvas").first.bounding_box()

    def take(self) -> Noted:
        """Return what the page has done since the last call."""
        noted = self._page.evaluate(_TAKE)
        return Noted(noted["frames"], tuple(noted["tasks"]))

    def move_mouse(self, along: float) -> None:
        """Move the mouse over the image, and wait until the page has answered.

        Parameters
        ----------
        along
            Where to on the diagonal, from 0 to 1.
        """
        if self._box is None:
            raise ResourceError("there is no image yet")
        x = self._box["x"] + (0.1 + 0.8 * along) * self._box["width"]
        y = self._box["y"] + (0.1 + 0.8 * along) * self._box["height"]
        self._page.mouse.move(x, y)

    def state(self) -> str:
        """Return the state of the image in the words of the page."""
        return self._state.inner_text()

    def close(self) -> None:
        """Close it."""
        self._browser.close()
        self._playwright.stop()
