"""The live image in a real browser: what is in the ring is what one sees, pixel by pixel."""

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.display.colour_maps import ColourMap, Scale, colour_table
from std_test_kit.live_images import LiveRing
from std_test_kit.seen_images import pixel_places, screenshot, sequence_in, shown_sequence, wait_live
from std_test_kit.wait import wait_until
from std_test_kit.web_process import WebProcess

OpenPage = Callable[..., Page]
PERIOD_S = 0.1
WITHIN_S = 30.0
SHAPE = (1024, 1024)
SATURATED = (511, 512)  # x, y
# A region that the window of the test shows as large pixels, across the border of the modules.
REGION = (500, 506, 516, 518)
LOOK = "colours=grey&low=0&high=400"


def pixels_of(sequence: int) -> NDArray[np.uint16]:
    """Return an image: no two neighbours are equal, and no two images; one pixel is saturated."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = ((rows * 37 + columns * 11 + sequence * 5) % 401).astype(np.uint16)
    pixels[SATURATED[1], SATURATED[0]] = 65535
    return pixels


def colour_of(page: Page, name: str) -> list[int]:
    """Return the red, green and blue of a colour of the theme."""
    text = page.evaluate(
        """(name) => {
          const pen = document.createElement("canvas").getContext("2d");
          pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
          return pen.fillStyle;
        }""",
        name,
    )
    return [int(text[at : at + 2], 16) for at in (1, 3, 5)]


class MovingRing:
    """A ring to which images come, ten a second, until `stop`; ``missing_packets`` are those of the next images."""

    def __init__(self, config: DetectorConfig) -> None:
        self._ring = LiveRing(config, n_slots=40)
        self._stopped = threading.Event()
        self.missing_packets: dict[int, int] = {}
        self.missing_modules: tuple[int, ...] = ()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop, and remove the ring."""
        self.stop()
        self._ring.close()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_S):
            self._ring.publish(
                pixels_of(self._ring.ring.journal.next_sequence),
                missing_packets=self.missing_packets,
                missing_modules=self.missing_modules,
            )


@pytest.fixture
def config_file(tmp_path: Path, detector_document: dict[str, Any]) -> Path:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(detector_document))
    return file


@pytest.fixture
def idle_ring(config_file: Path) -> Iterator[MovingRing]:
    ring = MovingRing(load_config(config_file))
    yield ring
    ring.close()


@pytest.fixture
def ring(idle_ring: MovingRing) -> MovingRing:
    idle_ring.start()
    return idle_ring


@pytest.fixture
def image_web(tmp_path: Path, config_file: Path) -> Iterator[WebProcess]:
    with WebProcess(tmp_path, config_file) as running:
        yield running


def test_pixels_have_the_colours_of_their_values_and_saturated_ones_their_own(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image&{LOOK}&region={','.join(map(str, REGION))}")
    wait_live(page)
    page.get_by_role("button", name="Freeze").click()
    pixels = pixels_of(shown_sequence(page))
    expect(page.locator(".word")).to_contain_text("frozen at image")
    page.wait_for_timeout(500)
    seen = screenshot(page.locator(".picture"))
    for x, y, left, top in pixel_places(page, REGION):
        expected = [round(pixels[y, x] / 400 * 255)] * 3 if (x, y) != SATURATED else [255, 53, 208]
        assert np.abs(seen[top, left].astype(int) - expected).max() <= 1, (x, y, pixels[y, x])
    expect(page.locator(".legend .saturated")).to_have_text("saturated 1")


@pytest.mark.long
def test_the_value_under_the_cursor_and_its_row_and_column_are_those_of_the_ring(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image&region={','.join(map(str, REGION))}")
    wait_live(page)
    page.keyboard.press("Space")
    sequence = shown_sequence(page)
    pixels = pixels_of(sequence)
    x, y, left, top = next(place for place in pixel_places(page, REGION) if place[:2] == (505, 511))
    box = page.locator(".picture").bounding_box()
    assert box
    page.mouse.move(box["x"] + left + 4, box["y"] + top + 4)
    expect(page.locator(".readout")).to_contain_text(f"x {x}  y {y}   {pixels[y, x]}")
    expect(page.locator(".readout")).to_contain_text("module 0")
    expect(page.locator(".readout")).to_contain_text("Å")
    expect(page.locator("figure", has_text="Row")).to_contain_text(f"y = {y}")
    expect(page.locator("figure", has_text="Column")).to_contain_text(f"x = {x}")


@pytest.mark.long
def test_an_image_that_comes_again_for_the_cursor_is_no_other_image(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image&region={','.join(map(str, REGION))}")
    wait_live(page)
    box = page.locator(".picture").bounding_box()
    assert box
    for move in range(100):  # to another pixel, more often than images come
        page.mouse.move(box["x"] + box["width"] * (0.3 + 0.4 * (move % 2)), box["y"] + box["height"] / 2)
        page.wait_for_timeout(45)
    said = re.search(r"([\d.]+) images/s", page.locator(".word").inner_text())
    assert said
    assert 0 < float(said[1]) < 1.3 / PERIOD_S


@pytest.mark.long
def test_limits_stay_with_the_next_image_and_are_in_the_address(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image")
    wait_live(page)
    page.wait_for_url(re.compile(r"low=.*high="))
    page.get_by_label("Lower limit of the colours").fill("12")
    page.get_by_label("Upper limit of the colours").fill("345")
    page.keyboard.press("Enter")
    page.get_by_label("Scale").select_option("log")
    page.get_by_label("Map").select_option("cividis")
    page.wait_for_url(re.compile(r"low=12&high=345"))
    page.wait_for_timeout(1000)
    page.reload()
    wait_live(page)
    page.wait_for_timeout(1000)
    expect(page.get_by_label("Lower limit of the colours")).to_have_value("12")
    expect(page.get_by_label("Upper limit of the colours")).to_have_value("345")
    expect(page.get_by_label("Scale")).to_have_value("log")
    expect(page.get_by_label("Map")).to_have_value("cividis")


@pytest.mark.long
@pytest.mark.parametrize(
    ("address", "low", "high"),
    [
        ("high=396", 4, 396),  # 4 and 397 are the percentiles of all images, as they have the values 0 to 400 evenly
        ("low=12", 12, 396),
        ("high=2", 1, 2),
        ("low=1000", 1000, 1001),
        ("low=345&high=12", 12, 345),
    ],
)
def test_one_limit_alone_in_the_address_is_taken_and_the_other_one_is_that_of_the_image(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage, address: str, low: int, high: int
) -> None:
    page = open_page(f"{image_web.url}/?view=image&{address}")
    wait_live(page)
    expect(page.get_by_label("Lower limit of the colours")).to_have_value(str(low))
    expect(page.get_by_label("Upper limit of the colours")).to_have_value(str(high))
    page.wait_for_url(re.compile(rf"(?=.*\blow={low}\b)(?=.*\bhigh={high}\b)"))


@pytest.mark.long
def test_one_steps_back_through_the_ring_and_goes_live_again(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image")
    wait_live(page)
    page.keyboard.press("Space")
    newest = shown_sequence(page)
    page.keyboard.press(",")
    page.keyboard.press(",")
    page.wait_for_url(f"**image={newest - 2}*")
    expect(page.locator(".word")).to_contain_text("frozen at image")
    page.keyboard.press(".")
    page.wait_for_url(f"**image={newest - 1}*")
    # Also to those that came after the picture was frozen, and no further than the newest.
    page.keyboard.press(".")
    page.keyboard.press(".")
    page.wait_for_url(f"**image={newest + 1}*")
    expect(page.locator(".facts dd").first).to_have_text(f"{newest + 1:,}")
    expect(page.locator(".ring .mono")).to_have_text(re.compile(r"[1-9]\d* images? ago"))
    ring.stop()
    expect(page.locator(".word")).to_contain_text(re.compile("stale|ended"))
    page.get_by_label("Image of the ring").press("End")
    for _ in range(3):
        page.keyboard.press(".")
    expect(page.locator(".ring .mono")).to_have_text("0 images ago")
    # The address follows a moment later.
    number = page.locator(".facts dd").first
    wait_until(lambda: number.inner_text() == f"{shown_sequence(page):,}", WITHIN_S)
    page.keyboard.press("Space")
    expect(page.locator(".word")).to_contain_text("since")
    page.wait_for_url(lambda url: "image=" not in url.split("view=image")[1])


@pytest.mark.long
def test_one_goes_live_again_after_a_look_at_the_past(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image")
    wait_live(page)
    page.keyboard.press("Space")
    shown_sequence(page)
    page.keyboard.press("Space")
    wait_live(page)
    # The address follows the view a moment later.
    page.wait_for_url(lambda url: "image=" not in url.split("view=image")[1])


@pytest.mark.long
def test_one_steps_from_an_image_that_the_ring_has_lost_to_its_oldest(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image")
    wait_live(page)
    page.keyboard.press("Space")
    kept = shown_sequence(page)
    expect(page.locator(".ring .mono")).to_have_text(re.compile(r"([5-9]\d|\d{3}) images ago"))
    expect(page.locator(".facts dd").first).to_have_text(f"{kept:,}")
    page.keyboard.press(",")  # while images go on to come
    page.wait_for_url(lambda url: (sequence_in(url) or 0) > kept)
    expect(page.locator(".facts dd").first).to_have_text(f"{shown_sequence(page):,}")


@pytest.mark.long
def test_regions_have_sum_mean_and_maximum_over_time(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image")
    wait_live(page)
    box = page.locator(".picture").bounding_box()
    assert box
    page.keyboard.press("r")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 40, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile(r"regions=\d+,\d+,\d+,\d+"))
    expect(page.locator(".region .mono")).to_have_text(re.compile(r"[\d,.e]+ · [\d,.e]+ · [\d,.e]+"))
    expect(page.get_by_role("img", name=re.compile(r"Over time: [\d.]+"))).to_be_visible()
    page.get_by_role("button", name="Remove R1").click()
    expect(page.locator(".region")).to_have_count(0)


@pytest.mark.long
def test_what_is_missing_is_hatched_and_named(image_web: WebProcess, ring: MovingRing, open_page: OpenPage) -> None:
    page = open_page(f"{image_web.url}/?view=image")
    wait_live(page)
    expect(page.locator(".legend .missing")).to_have_count(0)
    ring.missing_modules = (1,)
    expect(page.locator(".legend .missing")).to_contain_text("missing")
    expect(page.locator(".facts")).to_contain_text("missing")
    page.keyboard.press("Space")
    shown_sequence(page)
    seen = screenshot(page.locator(".picture"))
    height, width = seen.shape[:2]
    hatched = seen[height * 5 // 8 : height * 7 // 8, width * 7 // 16 : width * 9 // 16].reshape(-1, 3)
    colours = {tuple(int(part) for part in colour) for colour in hatched}
    assert {(0x4D, 0x22, 0x26), (0xB0, 0x65, 0x6C)} <= colours, "ground and stripes"


@pytest.mark.long
def test_masked_pixels_are_gaps_in_the_lines_through_the_cursor_and_have_no_value_in_words(
    tmp_path: Path, config_file: Path, idle_ring: MovingRing, open_page: OpenPage
) -> None:
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        mask = np.zeros(SHAPE, np.uint32)
        mask[511, 504:508] = 1
        file["pixel_mask"] = mask
    document = json.loads(config_file.read_text())
    config_file.write_text(json.dumps(document | {"detector": {"mask_file": str(tmp_path / "mask.h5")}}))
    idle_ring.start()
    with WebProcess(tmp_path, config_file) as running:
        page = open_page(f"{running.url}/?view=image&region={','.join(map(str, REGION))}")
        wait_live(page)
        page.keyboard.press("Space")
        pixels = pixels_of(shown_sequence(page))
        row = page.locator("figure", has_text="Row")
        for wanted, words in (((505, 511), "masked"), ((509, 511), str(pixels[511, 509]))):
            left, top = next(place[2:] for place in pixel_places(page, REGION) if place[:2] == wanted)
            box = page.locator(".picture").bounding_box()
            assert box
            page.mouse.move(box["x"] + left + 4, box["y"] + top + 4)
            expect(page.locator(".readout")).to_contain_text(f"x {wanted[0]}  y 511   {words}   ")
        expect(row).to_contain_text("y = 511")
        page.mouse.click(box["x"] + left + 4, box["y"] + top + 4)  # the cursor stays there
        canvas = row.locator("canvas").bounding_box()
        assert canvas
        told: dict[int, str] = {}
        places: dict[int, int] = {}
        for place in range(56, int(canvas["width"]) - 12, 2):  # within the margins of a plot
            page.mouse.move(canvas["x"] + place, canvas["y"] + 20)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            column, _, words = row.locator(".latest").inner_text().partition(": ")
            told[int(column)], places[int(column)] = words, place
        known = [column for column in told if 500 <= column < 516]
        assert known == list(range(500, 516))
        masked = range(504, 508)
        assert told == {column: "masked" if column in masked else str(pixels[511, column]) for column in told}
        page.mouse.move(box["x"], box["y"] - 30)
        expect(row).to_contain_text("y = 511")
        seen = screenshot(row.locator("canvas")).astype(int)
        line = np.abs(seen - colour_of(page, "--series-1")).max(axis=2) <= 60
        assert not line[:, places[504] : places[506]].any(), "nothing is drawn where pixels are masked"
        assert line[:, places[509] : places[514]].any(axis=0).all()


@pytest.mark.long
def test_an_image_that_is_old_does_not_look_live(
    image_web: WebProcess, idle_ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image")
    expect(page.locator(".word")).to_contain_text("connecting since")
    expect(page.locator(".message")).to_contain_text("is the detector sending?")
    idle_ring.start()
    wait_live(page)
    idle_ring.stop()
    expect(page.locator(".word")).to_contain_text(re.compile("(stale|ended) since"))
    expect(page.locator(".message")).to_contain_text(re.compile(r"The image is [\d.]+ s old"))
    grey = screenshot(page.locator(".pixels")).astype(int)
    height, width = grey.shape[:2]
    middle = grey[height // 2 : height * 3 // 4, width // 4 : width * 3 // 4]  # without the words and the legend
    assert np.abs(middle[..., 0] - middle[..., 1]).max() <= 2, "an old image has no colours"


@pytest.mark.long
def test_the_image_goes_on_after_a_restart_of_the_console(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=image&low=3&high=77")
    wait_live(page)
    image_web.end(signal.SIGKILL)
    expect(page.locator(".word")).to_contain_text("connecting since")
    expect(page.locator(".message")).to_contain_text("connects again by itself")
    expect(page.locator("#banner")).to_be_visible()
    image_web.start()
    wait_live(page)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.get_by_label("Upper limit of the colours")).to_have_value("77")


@pytest.mark.long
def test_the_picture_is_saved_as_it_is_seen(image_web: WebProcess, ring: MovingRing, open_page: OpenPage) -> None:
    page = open_page(f"{image_web.url}/?view=image&{LOOK}&region={','.join(map(str, REGION))}")
    wait_live(page)
    page.keyboard.press("Space")
    shown_sequence(page)
    page.wait_for_timeout(300)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    assert re.fullmatch(r".+_\d+\.png", download.value.suggested_filename)
    saved = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
    seen = screenshot(page.locator(".picture"))
    assert np.abs(np.subtract(saved.shape, seen.shape)).max() <= 1, "the window may end within a pixel"
    places = list(pixel_places(page, REGION))
    assert all(np.abs(saved[top, left] - seen[top, left]).max() <= 1 for _, _, left, top in places)


@pytest.mark.long
@pytest.mark.parametrize(
    ("scale", "colours", "labels"),
    [
        ("linear", "grey", ["0", "80", "160", "240", "320", "400"]),
        ("sqrt", "inferno", ["0", "16", "64", "144", "256", "400"]),
    ],
)
def test_the_figure_tells_what_the_picture_shows(
    image_web: WebProcess,
    ring: MovingRing,
    open_page: OpenPage,
    config_file: Path,
    scale: Scale,
    colours: ColourMap,
    labels: list[str],
) -> None:
    look = f"low=0&high=400&scale={scale}&colours={colours}"
    page = open_page(f"{image_web.url}/?view=image&{look}&region={','.join(map(str, REGION))}")
    wait_live(page)
    page.keyboard.press("Space")
    sequence = shown_sequence(page)
    page.wait_for_timeout(300)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    bare = np.asarray(Image.open(download.value.path()).convert("RGB"))
    page.evaluate(
        """() => {
          window.written = [];
          const write = CanvasRenderingContext2D.prototype.fillText;
          CanvasRenderingContext2D.prototype.fillText = function (words, ...more) {
            if (!this.canvas.isConnected) window.written.push(words);
            return write.call(this, words, ...more);
          };
        }"""
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Save figure").click()
    assert re.fullmatch(rf".+_{sequence}_figure\.png", download.value.suggested_filename)
    figure = np.asarray(Image.open(download.value.path()).convert("RGB"))
    height, width = bare.shape[:2]
    np.testing.assert_array_equal(figure[14 : 14 + height, 14 : 14 + width], bare)
    bar = figure[14 : 14 + height, 14 + width + 12 + 9].astype(int)
    expected = colour_table(colours)[np.round((1 - np.arange(height) / (height - 1)) * 255).astype(int)]
    assert np.abs(bar - expected)[2:-2].max() <= 1
    written = page.evaluate("window.written")
    words = " ".join(written)
    assert written[: len(labels)] == labels, "of the bar, from its lower end"
    assert f"{load_config(config_file).name}, image {sequence}" in words
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC, good", words)
    assert f"Colours: 0 to 400, {scale}, {colours}." in words
    assert "single pixels" in words
    assert "saturated 1" in words
    assert (figure[14 + height + 10 :] == 0).any(), "black on white"


@pytest.mark.long
def test_an_image_that_the_page_cannot_read_is_refused_in_words(
    image_web: WebProcess, ring: MovingRing, open_page: OpenPage
) -> None:
    page = open_page(f"{image_web.url}/?view=state")
    page.wait_for_selector(".view-state")
    page.route_web_socket("**/live", lambda socket: socket.on_message(lambda _: socket.send(b"an image, but of what?")))
    page.keyboard.press("2")
    expect(page.locator(".word")).to_contain_text("refused since")
    expect(page.locator(".message")).to_contain_text("the server sent something else than an image")
