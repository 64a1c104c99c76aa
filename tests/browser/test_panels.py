"""The panels in a real browser: what the systems send is what is seen."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from std_daq.photons.sim_client import SimClient
from std_daq.telescope.client import DaqDataClient, make_pano_image
from std_daq.tpc.config import load_tpc_config
from std_daq.tpc.reconstruction.results import results_address
from std_test_kit.event_results import ResultsPublisher, chamber_document
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.helix_results import helix_result
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.photon_farm import PhotonProcess, wait_for_answer
from std_test_kit.photon_tank import event_photons
from std_test_kit.upstream_farm import UpstreamWorker, first_photon_is_hit
from std_test_kit.wait import wait_until
from std_test_kit.web_console import TOKEN, RunningConsole, running_console

OpenPage = Callable[..., Page]
ACCESSIBILITY = (Path(__file__).parent / "accessibility.js").read_text()
WITHIN_S = 30.0
# What a canvas shows, as red, green, blue of each of its pixels.
PIXELS = """canvas => {
    const {width, height} = canvas;
    return [height, width, Array.from(canvas.getContext("2d").getImageData(0, 0, width, height).data)];
}"""

COUNT = """(canvas, [red, green, blue]) => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let n = 0;
    for (let i = 0; i < data.length; i += 4) n += data[i] === red && data[i + 1] === green && data[i + 2] === blue;
    return n;
}"""
PICTURE = "canvas => canvas.toDataURL()"
ORANGE = [255, 127, 14]
"""The colour of cluster 1."""


def pixels_of(page: Page, selector: str) -> np.ndarray:
    height, width, values = page.locator(selector).evaluate(PIXELS)
    return np.array(values, np.uint8).reshape(height, width, 4)


@pytest.fixture(scope="module")
def shared_live_view() -> Iterator[LiveViewProcess]:
    with LiveViewProcess(start={"data_dir": "/", "update_interval_s": 0.001}) as process:
        yield process


@pytest.fixture
def live_view(shared_live_view: LiveViewProcess) -> LiveViewProcess:
    """A live view without images, whatever the test before has done with it."""
    target = shared_live_view.target
    with DaqDataClient(host=target) as client:
        wish = {"data_dir": "/", "update_interval_seconds": 0.001, "force": True}
        assert client.init_problems(None, wish, WITHIN_S) == {target: ""}
    return shared_live_view


@pytest.fixture
def telescope(live_view: LiveViewProcess) -> Iterator[RunningConsole]:
    with running_console(live_view.config) as console:
        yield console


class Uploads:
    """Uploads one image again and again, until the context ends."""

    def __init__(self, target: str, *images: object) -> None:
        self._target, self._images = target, images
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with DaqDataClient(host=self._target) as client:
            while not self._ended.wait(0.2):
                client.upload_images(None, self._images)


def movie(module_id: int, pixels: np.ndarray) -> object:
    return make_pano_image(pixels, module_id=module_id, header={})


@pytest.mark.long
def test_each_pixel_of_a_module_is_where_it_belongs_in_the_mosaic(
    live_view: LiveViewProcess, telescope: RunningConsole, open_page: OpenPage
) -> None:
    ramp = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    with Uploads(live_view.target, movie(1, ramp), movie(5, ramp.T.copy())):
        address = f"{telescope.url}/?view=panel&colours=grey&limits=hand&low=0&high=1023"
        page = open_page(address)
        page.wait_for_selector('.tile[data-module="5"]')
        for module_id, sent in ((1, ramp), (5, ramp.T)):
            shown = pixels_of(page, f'.tile[data-module="{module_id}"] canvas')
            np.testing.assert_array_equal(shown[..., 0], np.floor(sent / 1023 * 255 + 0.5))
        expect(page.locator('.tile[data-module="1"]')).to_contain_text("max 1,023")
        page.locator('.tile[data-module="5"]').focus()
        page.keyboard.press("Enter")
        expect(page.locator(".view-panel")).to_contain_text("Module 5, img16")
        assert page.evaluate(ACCESSIBILITY) == []


def test_whitelist_shows_its_modules_and_names_those_that_are_not_there(
    live_view: LiveViewProcess, telescope: RunningConsole, open_page: OpenPage
) -> None:
    ramp = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    with Uploads(live_view.target, movie(1, ramp), movie(2, ramp)):
        page = open_page(f"{telescope.url}/?view=panel")
        page.wait_for_selector('.tile[data-module="1"]')
        page.get_by_role("textbox", name="Modules").fill("2, 7-8")
        page.keyboard.press("Enter")
        expect(page.locator('.tile[data-module="1"]')).to_have_count(0)
        page.wait_for_selector('.tile[data-module="2"]')
        expect(page.locator(".complaint", has_text="modules 7-8")).to_be_visible()
        assert "modules=2,+7-8" in page.url


@pytest.mark.long
def test_what_is_frozen_stays_until_one_goes_on(
    live_view: LiveViewProcess, telescope: RunningConsole, open_page: OpenPage
) -> None:
    flat = np.full((32, 32), 7, np.uint16)
    page = open_page(f"{telescope.url}/?view=panel")
    caption = page.locator('.tile[data-module="1"]')
    with Uploads(live_view.target, movie(1, flat)):
        expect(caption).to_contain_text("max 7")
    page.wait_for_selector(".paced[data-word=stale]")
    page.get_by_role("button", name="Freeze").click()
    with Uploads(live_view.target, movie(1, flat + 1), movie(2, flat)):
        expect(page.locator(".view-panel table").first).to_contain_text("2img16")
        page.wait_for_timeout(1000)
        expect(caption).to_contain_text("max 7")
        page.get_by_role("button", name="Freeze").click()
        expect(caption).to_contain_text("max 8")


@pytest.mark.long
def test_sources_are_exchanged_by_clicking(
    live_view: LiveViewProcess, telescope: RunningConsole, open_page: OpenPage
) -> None:
    page = open_page(f"{telescope.url}/?view=panel")
    with Uploads(live_view.target, movie(9, np.ones((32, 32), np.uint16))):
        page.locator('.tile[data-module="9"]').click()
    expect(page.locator(".view-panel")).to_contain_text("Module 9, img16")
    page.get_by_role("button", name="Sources").click()
    page.get_by_label("simulate the acquisition instead").check()
    page.get_by_role("button", name="Exchange").click()
    page.get_by_role("dialog").get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".note")).to_contain_text("The sources were exchanged.")
    page.wait_for_selector('.tile[data-module="224"]')
    page.wait_for_selector(".paced[data-word=live]")
    state = page.locator(".card", has=page.get_by_role("heading", name="Live view", exact=True))
    expect(state.locator(".badge", has_text="delivers").first).to_be_visible()
    # Of the sources before nothing is left, neither here nor for those who open the page later.
    expect(page.locator(".view-panel").get_by_role("heading", name="Module 9, img16")).to_be_hidden()
    page.reload()
    page.wait_for_selector('.tile[data-module="224"]')
    expect(page.locator('.tile[data-module="9"]')).to_have_count(0)


@pytest.mark.long
def test_panel_says_that_the_live_view_is_away_and_goes_on_when_it_is_back(open_page: OpenPage) -> None:
    ramp = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    with (
        LiveViewProcess(start={"data_dir": "/", "update_interval_s": 0.001}) as live_view,
        running_console(live_view.config) as telescope,
    ):
        page = open_page(f"{telescope.url}/?view=panel")
        with Uploads(live_view.target, movie(1, ramp)):
            page.wait_for_selector(".paced[data-word=live]")
        live_view.end()
        page.wait_for_selector(".paced[data-word=waiting]")
        live_view.start()
        with Uploads(live_view.target, movie(1, ramp)):
            page.wait_for_selector(".paced[data-word=live]")


@pytest.mark.long
def test_pulse_heights_and_the_state_of_the_acquisition_are_seen(
    live_view: LiveViewProcess, telescope: RunningConsole, open_page: OpenPage
) -> None:
    pulse = np.zeros((16, 16), np.uint16)
    pulse[3, 5] = 900
    image = make_pano_image(pulse, module_id=4, is_pulse_height=True, header={})
    page = open_page(f"{telescope.url}/?view=panel")
    heights = page.locator(".card", has=page.get_by_role("heading", name="Pulse heights"))
    expect(heights).to_contain_text("No pulse heights have come")
    distribution = heights.locator("canvas")
    empty = distribution.evaluate(PICTURE)
    with Uploads(live_view.target, image):
        expect(heights).to_contain_text(re.compile(r"[1-9][0-9]* images, and 0 that the live view did not send"))
        wait_until(lambda: distribution.evaluate(PICTURE) != empty, WITHIN_S)
        expect(page.locator(".view-panel")).to_contain_text("4ph256")
        state = page.locator(".card", has=page.get_by_role("heading", name="Live view", exact=True))
        expect(state).to_contain_text("hp_io task is initialized and valid.")
        expect(page.locator(".view-panel")).not_to_contain_text("Nobody looks.")


@pytest.fixture
def chamber(tmp_path: Path, shm_dir: Path, runtime: Path) -> Path:
    file = tmp_path / "tpc.json"
    file.write_text(json.dumps(chamber_document(shm_dir)))
    return file


@pytest.mark.long
def test_newest_event_its_clusters_and_histograms_are_seen(chamber: Path, open_page: OpenPage) -> None:
    with (
        running_console(chamber) as console,
        ResultsPublisher(results_address(load_tpc_config(chamber))) as publisher,
    ):
        publisher.wait_for_subscriber()
        publisher.publish(helix_result(41, n_tracks=3))
        page = open_page(f"{console.url}/?view=panel", height=1200)
        expect(page.locator(".event-title")).to_have_text("Event 41 of run 0")
        expect(page.locator(".legend")).to_contain_text("1,400 points")
        page.get_by_label("circles of the tracks").uncheck()
        page.get_by_label("points of no cluster").uncheck()
        wait_until(lambda: _count(page, ORANGE) > 200, WITHIN_S)
        page.locator(".scene canvas").focus()
        before = _picture(page)
        page.keyboard.press("ArrowLeft")
        wait_until(lambda: _picture(page) != before, WITHIN_S)
        expect(page.locator(".histograms canvas")).to_have_count(6)
        expect(page.locator(".view-panel")).to_contain_text("1 events with 3 estimates")
        publisher.publish(helix_result(42))
        expect(page.locator(".event-title")).to_have_text("Event 42 of run 0")
        assert page.evaluate(ACCESSIBILITY) == []


def _count(page: Page, colour: list[int]) -> int:
    """Return how many pixels of the scene have a colour; they are too many to be sent here."""
    return int(page.locator(".scene canvas").evaluate(COUNT, colour))


def _picture(page: Page) -> str:
    return str(page.locator(".scene canvas").evaluate(PICTURE))


@dataclass(frozen=True, slots=True)
class WatchedFarm:
    """A router, and a console that shows it."""

    clients: str
    backend: str
    console: RunningConsole


@contextmanager
def running_farm(folder: Path) -> Iterator[WatchedFarm]:
    clients, backend = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
    names = ("--system", "tank", "--instance", "sim-router")
    router = PhotonProcess("std_sim_router", "--frontend", clients, "--backend", backend, *names)
    file = folder / "farm.json"
    runtime = str(router.folder / "run")
    file.write_text(json.dumps({"name": "tank", "geometry": "tank.json", "frontend": clients, "runtime_dir": runtime}))
    with router, running_console(file) as console:
        wait_for_answer(clients)
        yield WatchedFarm(clients, backend, console)


@pytest.mark.long
def test_hits_of_the_newest_event_and_the_workers_are_seen(tmp_path: Path, open_page: OpenPage) -> None:
    with (
        running_farm(tmp_path) as farm,
        UpstreamWorker(farm.backend, first_photon_is_hit),
        SimClient(farm.clients) as client,
    ):
        client.simulate(event_photons(5, 12), 12, WITHIN_S)
        page = open_page(f"{farm.console.url}/?view=panel")
        expect(page.locator(".event-title")).to_have_text("Event 12")
        expect(page.locator(".legend")).to_contain_text("1 hits")
        expect(page.locator(".view-panel")).to_contain_text("events simulated1")
        expect(page.locator(".badge", has_text="idle")).to_be_visible()
        assert page.evaluate(ACCESSIBILITY) == []


@pytest.mark.long
def test_queue_of_requests_is_seen_and_then_the_rates_of_the_worker(tmp_path: Path, open_page: OpenPage) -> None:
    with running_farm(tmp_path) as farm, SimClient(farm.clients) as client:
        page = open_page(f"{farm.console.url}/?view=panel")
        futures = [client.submit(event_photons(5, number), number) for number in range(7)]
        expect(page.locator(".view-panel")).to_contain_text("requests waiting7")
        expect(page.locator(".view-panel")).to_contain_text("No worker is connected to the router.")
        with UpstreamWorker(farm.backend, first_photon_is_hit):
            for future in futures:
                future.result(WITHIN_S)
            expect(page.locator(".view-panel")).to_contain_text("events simulated7")
            expect(page.locator(".view-panel")).to_contain_text("requests waiting0")
            expect(page.locator(".badge", has_text="idle")).to_be_visible()


@pytest.mark.long
def test_plots_of_rates_and_requests_show_those_of_the_farm(tmp_path: Path, open_page: OpenPage) -> None:
    with running_farm(tmp_path) as farm, SimClient(farm.clients) as client:
        page = open_page(f"{farm.console.url}/?view=panel")
        card = page.locator(".card", has=page.get_by_role("heading", name="Rates"))
        expect(card.locator("canvas")).to_have_count(2)
        events, requests = (card.locator("figure", has_text=title) for title in ("Events", "Requests"))
        futures = [client.submit(event_photons(5, number), number) for number in range(7)]
        expect(requests.locator(".value")).to_have_text(["7", "at workers 0"])
        expect(events.locator(".latest")).to_have_text("0 /s")
        with UpstreamWorker(farm.backend, first_photon_is_hit):
            for future in futures:
                future.result(WITHIN_S)
            expect(requests.locator(".value")).to_have_text(["0", "at workers 0"])
            done_at: list[float] = []
            wait_until(lambda: _is_rate_of(events, done_at, client, page), WITHIN_S)
            expect(events.locator(".latest")).to_have_text("0 /s")


def _is_rate_of(events: Locator, done_at: list[float], client: SimClient, page: Page) -> bool:
    """Simulate one more event; returns whether the plot shows the rate of those of the last two seconds."""
    client.simulate(event_photons(5, 100 + len(done_at)), 100 + len(done_at), WITHIN_S)
    page.wait_for_timeout(100)
    done_at.append(time.monotonic())
    of_late = [one for one in done_at if one > done_at[-1] - 2.0]
    shown = re.fullmatch(r"([\d.]+) /s", events.locator(".latest").inner_text())
    if shown is None or done_at[-1] - done_at[0] < 4.0:
        return False
    return abs(float(shown[1]) / (len(of_late) / 2.0) - 1.0) < 0.25


@pytest.mark.long
def test_a_timing_receiver_is_shown_beside_the_telescopes_and_has_a_state_but_no_panel(
    tmp_path: Path, open_page: OpenPage
) -> None:
    timing = tmp_path / "ublox.json"
    timing.write_text(json.dumps({"name": "timing", "port": free_tcp_port(), "runtime_dir": str(tmp_path / "run")}))
    telescope = tmp_path / "live.json"
    telescope.write_text(json.dumps({"name": "sky", "port": free_tcp_port(), "runtime_dir": str(tmp_path / "run")}))
    with running_console(telescope, timing) as console:
        page = open_page(f"{console.url}/?detector=sky")
        expect(page.locator("#views a")).to_have_text(["State", "Panel"])
        page.locator("#detector").select_option("timing")
        expect(page.locator("#views a")).to_have_text(["State"])
        expect(page.locator("#pill")).to_contain_text("not fine")
        expect(page.locator(".view-state")).to_contain_text("ublox-control")
        page.goto(f"{console.url}/?detector=timing&view=panel")
        expect(page.locator(".view-state")).to_contain_text("ublox-control")


@pytest.mark.long
@pytest.mark.parametrize("system", ["telescope", "chamber"])
def test_a_phone_need_not_scroll_sideways(
    telescope: RunningConsole, chamber: Path, open_page: OpenPage, system: str
) -> None:
    with running_console(chamber) as other:
        console = telescope if system == "telescope" else other
        page = open_page(f"{console.url}/?view=panel", width=360, height=740)
        page.wait_for_selector(".view-panel .card")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
