"""Live images in a notebook that Jupyter executes, from a real console."""

import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from std_daq.config.system import load_any_config
from std_daq.errors import ConsoleError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.display.colour_maps import colour_table
from std_daq.notebook import LiveImage, Run
from std_test_kit.live_images import LiveRing
from std_test_kit.notebooks import NotebookProcess, html_of
from std_test_kit.wait import wait_until
from std_test_kit.web_console import TOKEN, RunningConsole, running_console
from std_web.guard import WebAccess
from std_web.token import AccessToken

WITHIN_S = 20.0
HEIGHT, WIDTH = 512, 1024
PICTURE = re.compile(r'src="data:image/png;base64,([^"]*)"')


@pytest.fixture
def detector_file(tmp_path: Path, shm_dir: Path, runtime: Path) -> Path:
    file = tmp_path / "detector.json"
    document = {
        "detector_name": "jungfrau",
        "detector_type": "jungfrau",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": HEIGHT,
        "image_pixel_width": WIDTH,
        "start_udp_port": 50000,
        "shared_memory": {"directory": str(shm_dir)},
        "runtime_dir": str(runtime),
    }
    file.write_text(json.dumps(document))
    return file


@pytest.fixture
def ring(detector_file: Path) -> Iterator[LiveRing]:
    config = load_any_config(detector_file)
    assert isinstance(config, DetectorConfig)
    made = LiveRing(config)
    yield made
    made.close()


@pytest.fixture
def console(detector_file: Path) -> Iterator[RunningConsole]:
    with running_console(detector_file) as running:
        yield running


@contextmanager
def detector_of(ring: LiveRing, pixels: np.ndarray) -> Iterator[None]:
    """Publish an image ten times a second."""
    is_ended = threading.Event()

    def send() -> None:
        while not is_ended.wait(0.1):
            ring.publish(pixels)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    is_ended.set()
    thread.join()


def picture_in(html: str) -> np.ndarray:
    (source,) = PICTURE.findall(html)
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(source))))


def show(console: RunningConsole, **arguments: Any) -> str:
    """Return a cell that shows a live image."""
    return (
        f"from std_daq.notebook import LiveImage\nlive = LiveImage({console.url!r}, 'jungfrau', **{arguments!r})\nlive"
    )


def ramp() -> np.ndarray:
    return np.add.outer(np.arange(HEIGHT, dtype=np.uint16), np.arange(WIDTH, dtype=np.uint16))


def number_in(html: str) -> int:
    (number,) = re.findall(r"image ([0-9]+): good", html.split("<p>")[1])
    return int(number)


@pytest.mark.long
def test_cell_goes_on_to_show_the_newest_image_while_other_cells_are_executed(
    tmp_path: Path, ring: LiveRing, console: RunningConsole
) -> None:
    ring.publish(ramp())
    cells = (
        show(console, width=1024, low=0, high=1534, rate_hz=10),
        (
            f"from std_test_kit.wait import wait_until\n"
            f"first = int(live._facts['x-image-id'])\n"
            f"wait_until(lambda: int(live._facts['x-image-id']) > first + 20, {WITHIN_S})"
        ),
        (
            "live.set(low=100, high=200, colours='grey', region=(0, 0, 300, 200))\n"
            f"wait_until(lambda: live._facts.get('x-image-region') == '0,0,300,200', {WITHIN_S})\n"
            # The picture is shown when the next one is asked for.
            "etag = live._etag\n"
            f"wait_until(lambda: live._etag != etag, {WITHIN_S})\n"
            "live.close()"
        ),
        "print(live.pixels().shape, live.is_live)",
    )
    with detector_of(ring, ramp()), NotebookProcess(tmp_path, *cells) as notebook:
        shown, _, _, said = notebook.outputs()
    html = html_of(shown)
    assert number_in(html) > 20
    grey = np.clip((ramp()[:200, :300].astype(float) - 100) / 100, 0, 1)
    np.testing.assert_allclose(picture_in(html)[..., 0], grey * 255, atol=1)
    assert said[0]["text"] == "(200, 300) False\n"


def test_picture_has_the_colours_of_the_pixels(ring: LiveRing, console: RunningConsole) -> None:
    ring.publish(ramp())
    live = LiveImage(console.url, "jungfrau", low=0, high=1534, width=1024)
    shown = picture_in(live._repr_html_())
    np.testing.assert_array_equal(shown, colour_table("viridis")[np.rint(ramp() / 1534 * 255).astype(int)])
    np.testing.assert_array_equal(live.pixels(), ramp())


class Cell:
    """What a LiveImage shows, one look after the other."""

    def __init__(self, live: LiveImage) -> None:
        self.live = live
        self.text = ""

    def look(self) -> str:
        content = self.live._look()
        if content is not None:
            self.text = content.text
        return self.text


def test_nothing_is_sent_again_unless_something_is_new(ring: LiveRing, console: RunningConsole) -> None:
    ring.publish(3)
    live = LiveImage(console.url, "jungfrau")
    assert live._look() is not None
    assert live._look() is None
    ring.publish(3)
    assert live._look() is not None


@pytest.mark.long
def test_what_is_wrong_with_the_image_or_the_detector_is_told(ring: LiveRing, console: RunningConsole) -> None:
    cell = Cell(LiveImage(console.url, "jungfrau"))
    assert "no image has come yet: is the detector sending?" in cell.look()
    ring.publish(3, missing_packets={0: 5})
    assert "missing packets; 5 packets missing; values 3 to 3; live" in cell.look()
    wait_until(lambda: "stale: no image has come since; is the detector sending?" in cell.look(), WITHIN_S)
    ring.publish(4)
    assert cell.look().endswith("; live")


@pytest.mark.long
def test_console_that_is_away_is_told_below_the_last_picture_and_it_goes_on_when_it_is_back(
    ring: LiveRing, detector_file: Path
) -> None:
    ring.publish(3)
    with running_console(detector_file) as console:
        cell = Cell(LiveImage(console.url, "jungfrau"))
        assert cell.look().endswith("live")
    assert "gives no answer: Connection refused; does std-web run there?" in cell.look()
    assert "values 3 to 3" in cell.text


def test_wrong_detector_and_a_server_that_is_no_console_are_told(console: RunningConsole, ring: LiveRing) -> None:
    assert "there is no detector 'eiger'" in Cell(LiveImage(console.url, "eiger")).look()
    assert "there is nothing at" in Cell(LiveImage(f"{console.url}/api/v1", "jungfrau")).look()


@pytest.mark.parametrize("url", ["localhost:5000", "ftp://daq", "http://", "http://a:b", "http://daq?x=1"])
def test_what_is_no_url_of_a_console_is_refused(url: str) -> None:
    with pytest.raises(ConsoleError, match="is not the URL of a console; it looks like http://daq-server:5000"):
        LiveImage(url, "jungfrau")


def test_a_token_in_the_url_is_refused_and_not_told() -> None:
    for url in (f"http://std-daq:{TOKEN}@daq:5000", f"http://std-daq:{TOKEN}@daq:x"):
        with pytest.raises(ConsoleError, match="give token_file") as raised:
            LiveImage(url, "jungfrau")
        assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("content", ["", f"{TOKEN}\nmore", f"{TOKEN} more", f"{TOKEN}\0"])
def test_a_file_without_one_token_is_told_without_what_is_in_it(content: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    said = Cell(LiveImage("http://127.0.0.1:1", "jungfrau", token_file=file)).look()
    assert "token: the token is one word" in said
    assert TOKEN not in said


@pytest.mark.long
def test_console_that_wants_a_token_for_reading_gets_it_from_the_file(
    ring: LiveRing, detector_file: Path, tmp_path: Path
) -> None:
    ring.publish(3)
    file = tmp_path / "token"
    access = WebAccess(AccessToken(TOKEN), reading_needs_token=True)
    with running_console(detector_file, access=access) as console:
        without = Cell(LiveImage(console.url, "jungfrau"))
        assert "wants a token: give token_file" in without.look()
        cell = Cell(LiveImage(console.url, "jungfrau", token_file=file))
        assert "token: the token cannot be read: No such file" in cell.look()
        file.write_text(f"{TOKEN}\n")
        ring.publish(4)
        assert cell.look().endswith("live")
        assert TOKEN not in repr(cell.live)


@pytest.mark.long
def test_cell_that_nobody_closes_ends_by_itself(tmp_path: Path, ring: LiveRing, console: RunningConsole) -> None:
    ring.publish(ramp())
    cells = (
        show(console, seconds=1, rate_hz=10),
        f"from std_test_kit.wait import wait_until\nwait_until(lambda: not live.is_live, {WITHIN_S})",
        "print(live.is_live)",
    )
    with NotebookProcess(tmp_path, *cells) as notebook:
        shown, _, said = notebook.outputs()
    assert "not live: execute the cell again" in html_of(shown)
    assert said[0]["text"] == "False\n"


def test_run_of_a_console_without_runs_says_so(console: RunningConsole) -> None:
    run = Run(console.url, "jungfrau")
    with pytest.raises(ConsoleError):
        run.facts()


def test_wrong_rate_is_refused(console: RunningConsole) -> None:
    wrong: dict[str, Any] = {"rate_hz": 0}
    with pytest.raises(ValueError, match="rate_hz: 0 is not above 0 and up to 50"):
        LiveImage(console.url, "jungfrau", **wrong)
