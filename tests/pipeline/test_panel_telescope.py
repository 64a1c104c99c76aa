"""The panel of a telescope with a real live view: mosaic, pulse heights, state, sources."""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from std_daq.telescope.client import DaqDataClient, make_pano_image
from std_daq.telescope.pff import PRODUCTS
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.panel_client import PanelClient
from std_test_kit.shared_place import SharedPlace
from std_test_kit.telescope_frames import make_header, make_pixels
from std_test_kit.wait import wait_until
from std_test_kit.web_console import TOKEN, RunningConsole, running_console

PANEL = "/api/v1/detectors/live-view/panel/telescope"
WITHIN_S = 20.0
IMAGES = "live-view/panel/telescope/images"
NO_SOURCES = {"start": {"data_dir": "/", "update_interval_s": 0.001}}
SIMULATED = {
    "start": {"simulate": True, "update_interval_s": 0.001},
    "simulation": {"rate_hz": 20, "module_ids": [1, 300]},
}


@pytest.fixture(scope="module")
def shared_server(shared_place: SharedPlace) -> Iterator[LiveViewProcess]:
    with LiveViewProcess(**NO_SOURCES) as process:
        yield process


@pytest.fixture
def server(shared_server: LiveViewProcess) -> LiveViewProcess:
    """A live view that the tests share, without sources and clients."""
    wait_until(lambda: n_streams(shared_server) == 0, WITHIN_S)
    return shared_server


@pytest.fixture
def console(server: LiveViewProcess) -> Iterator[RunningConsole]:
    with running_console(server.config) as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[LiveViewProcess]:
    """A live view for a test that gives it other sources, ends it, or counts on what it has been sent."""
    with LiveViewProcess(**NO_SOURCES) as process:
        yield process


@pytest.fixture
def own_console(own_server: LiveViewProcess) -> Iterator[RunningConsole]:
    with running_console(own_server.config) as running:
        yield running


@pytest.fixture(scope="module")
def simulated_server(shared_place: SharedPlace) -> Iterator[LiveViewProcess]:
    with LiveViewProcess(**SIMULATED) as process:
        yield process


@pytest.fixture
def simulated_console(simulated_server: LiveViewProcess) -> Iterator[RunningConsole]:
    wait_until(lambda: n_streams(simulated_server) == 0, WITHIN_S)
    with running_console(simulated_server.config) as running:
        yield running


def upload(server: LiveViewProcess, product: str, number: int, module_id: int) -> np.ndarray:
    kind = PRODUCTS[product]
    pixels = make_pixels(kind, number, module_id)
    image = make_pano_image(
        pixels,
        module_id=module_id,
        is_pulse_height=kind.is_pulse_height,
        header=make_header(kind, number),
        frame_number=number,
    )
    with DaqDataClient(host=server.target) as client:
        client.upload_images(None, [image])
    return pixels


def _read_to_the_end(browser: PanelClient) -> None:
    while True:
        browser.socket.recv(WITHIN_S)


def n_streams(server: LiveViewProcess) -> int:
    with DaqDataClient(host=server.target) as client:
        return len(client.status().clients)


def test_each_pixel_of_the_mosaic_is_as_the_module_sent_it(server: LiveViewProcess, console: RunningConsole) -> None:
    with PanelClient(console, IMAGES) as browser:
        browser.send(type="next")
        wait_until(lambda: n_streams(server) == 2, WITHIN_S)
        for module_id in (7, 8):
            for product in PRODUCTS:
                sent = upload(server, product, 3, module_id)
                seen: dict[str, np.ndarray] = {}
                while f"{module_id} {product}" not in seen:
                    header, arrays = browser.next()
                    seen = {
                        f"{facts['module']} {facts['product']}": arrays[str(number)]
                        for number, facts in enumerate(header["tiles"])
                    }
                np.testing.assert_array_equal(seen[f"{module_id} {product}"], sent)


def test_browser_gets_only_what_it_has_not_seen_and_only_modules_it_wants(
    own_server: LiveViewProcess, own_console: RunningConsole
) -> None:
    with PanelClient(own_console, IMAGES) as browser:
        browser.send(type="next")
        wait_until(lambda: n_streams(own_server) == 2, WITHIN_S)
        upload(own_server, "img16", 1, 1)
        header, _ = browser.next()
        assert [facts["module"] for facts in header["tiles"]] == [1]
        upload(own_server, "img16", 1, 2)
        header, _ = browser.next()
        assert [facts["module"] for facts in header["tiles"]] == [2]
        browser.send(type="view", modules=[1, 5])
        header, _ = browser.next()
        assert [facts["module"] for facts in header["tiles"]] == [1]
        assert header["missing"] == [5]


def test_pulse_heights_are_counted_once_each(own_server: LiveViewProcess, own_console: RunningConsole) -> None:
    assert own_console.get(f"{PANEL}/pulse-heights").json()["modules"] == []
    wait_until(lambda: n_streams(own_server) == 2, WITHIN_S)
    heights = [int(upload(own_server, "ph256", number, 4).max()) for number in range(5)]

    def document() -> dict:
        return own_console.get(f"{PANEL}/pulse-heights?seconds=600").json()

    wait_until(lambda: document()["modules"] and document()["modules"][0]["images"] == len(heights), WITHIN_S)
    found = document()
    (module,) = found["modules"]
    assert module["module"] == 4
    assert module["skipped"] == 0
    np.testing.assert_array_equal(module["counts"], np.histogram(heights, found["edges"])[0])


def test_state_tells_modules_rates_and_sources(simulated_console: RunningConsole) -> None:
    def state() -> dict:
        return simulated_console.get(PANEL).json()

    wait_until(lambda: state()["answers"] and len({row["module"] for row in state()["products"]}) == 2, WITHIN_S)
    found = state()
    assert found["is_initialised"]
    assert {row["product"] for row in found["products"]} == {"img16", "ph256"}
    assert sum(source["frames"] for source in found["sources"]) > 0


def test_many_browsers_are_one_client_and_one_that_never_reads_holds_up_nobody(
    simulated_console: RunningConsole,
) -> None:
    with ExitStack() as opened:
        silent, *others = [opened.enter_context(PanelClient(simulated_console, IMAGES)) for _ in range(12)]
        for _ in range(50):
            silent.send(type="next")
        for _ in range(3):
            for browser in others:
                header, _ = browser.next()
                assert header["tiles"]
        wait_until(lambda: len(simulated_console.get(PANEL).json()["clients"]) == 2, WITHIN_S)


def test_nobody_looks_and_nothing_is_read(server: LiveViewProcess, console: RunningConsole) -> None:
    assert n_streams(server) == 0


def test_sources_are_exchanged_while_the_panel_is_open(
    own_server: LiveViewProcess, own_console: RunningConsole
) -> None:
    with PanelClient(own_console, IMAGES) as browser:
        browser.send(type="next")
        wait_until(lambda: n_streams(own_server) == 2, WITHIN_S)
        answer = own_console.ask("POST", f"{PANEL}/init", {"simulate": True}, token=TOKEN)
        assert answer.status == 200, answer.body
        header, _ = browser.next()
        assert header["tiles"]


@pytest.mark.long
def test_sources_are_not_exchanged_under_another_client_unless_forced(
    own_server: LiveViewProcess, own_console: RunningConsole
) -> None:
    with DaqDataClient(host=own_server.target) as client, client.stream_images(None, reconnect=True):
        wait_until(lambda: n_streams(own_server) == 1, WITHIN_S)
        answer = own_console.ask("POST", f"{PANEL}/init", {"simulate": True}, token=TOKEN)
        assert answer.status == 409
        assert "1 clients are streaming" in answer.json()["detail"]
        assert own_console.ask("POST", f"{PANEL}/init", {"simulate": True, "force": True}, token=TOKEN).status == 200


def test_exchanging_sources_needs_the_token_and_a_folder(server: LiveViewProcess, console: RunningConsole) -> None:
    assert console.ask("POST", f"{PANEL}/init", {"simulate": True}).status == 401
    answer = console.ask("POST", f"{PANEL}/init", {}, token=TOKEN)
    assert answer.status == 422
    assert "data_dir" in answer.json()["detail"]
    answer = console.ask("POST", f"{PANEL}/init", {"data_dir": "/nonexistent"}, token=TOKEN)
    assert answer.status == 409
    assert "does not exist" in answer.json()["detail"]


@pytest.mark.long
def test_panel_survives_a_restart_of_the_live_view(own_server: LiveViewProcess, own_console: RunningConsole) -> None:
    with PanelClient(own_console, IMAGES) as browser:
        browser.send(type="next")
        wait_until(lambda: n_streams(own_server) == 2, WITHIN_S)
        own_server.end()
        wait_until(lambda: not own_console.get(PANEL).json()["answers"], WITHIN_S)
        own_server.start()
        wait_until(lambda: n_streams(own_server) == 2, WITHIN_S)
        upload(own_server, "img8", 1, 9)
        header, _ = browser.next()
        assert [facts["module"] for facts in header["tiles"]] == [9]
        wait_until(lambda: own_console.get(PANEL).json()["message"] == "hp_io task is initialized and valid.", WITHIN_S)
        upload(own_server, "img8", 2, 9)
        browser.next()
    assert [state["word"] for state in browser.states[-2:]] == ["waiting", "live"]


@pytest.mark.parametrize(
    "garbage", ["", "[]", "{", '{"type": "view", "modules": ["1"]}', '{"type": "view", "modules": [70000]}']
)
def test_garbage_ends_the_websocket_of_its_sender_only(console: RunningConsole, garbage: str) -> None:
    with PanelClient(console, IMAGES) as browser:
        browser.socket.send(garbage)
        with pytest.raises(ConnectionClosed) as closed:
            _read_to_the_end(browser)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003
    assert console.get(PANEL).status == 200
