"""The WebSocket of live images, with a real ring, a real server and real sockets."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus

from std_daq.config.system import load_any_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.display.kernels import MASKED, MISSING, SATURATED
from std_test_kit.live_images import LiveClient, LiveRing
from std_test_kit.wait import wait_until
from std_test_kit.web_console import RunningConsole, running_console

NAME = "shown"
SHAPE = (1024, 1024)


@pytest.fixture
def config_file(tmp_path: Path, shm_dir: Path, runtime: Path) -> Path:
    """A JUNGFRAU of two modules above each other, uncorrected; values from 60000 on are saturated."""
    file = tmp_path / "shown.json"
    document = {
        "detector_name": NAME,
        "detector_type": "jungfrau",
        "n_modules": 2,
        "bit_depth": 16,
        "image_pixel_height": SHAPE[0],
        "image_pixel_width": SHAPE[1],
        "module_positions": {"0": [0, 0, 1023, 511], "1": [0, 512, 1023, 1023]},
        "start_udp_port": 50000,
        "nexus": {"saturation_value": 60000},
        "shared_memory": {"directory": str(shm_dir)},
    }
    file.write_text(json.dumps(document))
    return file


@pytest.fixture
def config(config_file: Path) -> DetectorConfig:
    loaded = load_any_config(config_file)
    assert isinstance(loaded, DetectorConfig)
    return loaded


@pytest.fixture
def ring(config: DetectorConfig) -> Iterator[LiveRing]:
    made = LiveRing(config)
    yield made
    made.close()


@pytest.fixture
def shown(config_file: Path) -> Iterator[RunningConsole]:
    with running_console(config_file) as running:
        yield running


@pytest.fixture
def client(shown: RunningConsole) -> Iterator[LiveClient]:
    with LiveClient(shown.url, NAME) as connected:
        yield connected


def noise(seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 1000, SHAPE).astype(np.uint16)


def test_known_pixels_arrive_with_all_that_was_asked_for(ring: LiveRing, client: LiveClient) -> None:
    pixels = noise()
    pixels[700, 300] = 61000
    sequence = ring.publish(pixels)
    client.view(
        region=[200, 600, 400, 800], size=[500, 500], cursor=[300, 700], rois=[[290, 690, 310, 710]], histogram=True
    )
    header, values, flags = client.next()
    region = pixels[600:800, 200:400]
    np.testing.assert_array_equal(values, region)
    assert values.dtype == np.uint16
    assert (header["shape"], header["dtype"], header["region"]) == ([200, 200], "uint16", [200, 600, 400, 800])
    assert (header["sequence"], header["image_id"], header["status"]) == (sequence, sequence, "good")
    assert (header["image_shape"], header["saturation"]) == ([1024, 1024], 60000)
    assert abs(header["time_ns"] - time.time_ns()) < 60e9
    assert (header["n_pixels"], header["min"], header["max"]) == (40000, region.min(), 61000)
    assert header["mean"] == pytest.approx(region.mean())
    assert header["percentiles"]["50"] == np.percentile(region, 50, method="nearest")
    assert np.argwhere(flags).tolist() == [[100, 100]]
    assert flags[100, 100] == SATURATED
    cursor = header["cursor"]
    assert (cursor["x"], cursor["y"], cursor["value"]) == (300, 700, 61000)
    assert (cursor["row"]["begin"], cursor["column"]["begin"]) == (200, 600)
    assert cursor["row"]["values"] == pixels[700, 200:400].tolist()
    assert cursor["column"]["values"] == pixels[600:800, 300].tolist()
    (roi,) = header["rois"]
    inside = pixels[690:710, 290:310]
    assert (roi["region"], roi["n_pixels"], roi["sum"], roi["max"]) == ([290, 690, 310, 710], 400, inside.sum(), 61000)
    found = header["histogram"]
    assert found["n_below"] + sum(found["counts"]) + found["n_above"] == 40000
    assert (header["ring"]["oldest"], header["ring"]["newest"], header["ring"]["n_slots"]) == (0, sequence, 6)


def test_a_single_hot_pixel_stays_visible_in_a_small_window(ring: LiveRing, client: LiveClient) -> None:
    pixels = noise()
    pixels[5, 1000] = 59000
    ring.publish(pixels)
    client.view(size=[64, 32])
    _, values, flags = client.next()
    assert values.shape == (32, 64)
    np.testing.assert_array_equal(values, pixels.reshape(32, 32, 64, 16).max(axis=(1, 3)))
    assert not flags.any()
    client.view(size=[64, 32], reduce="mean")
    header, values, _ = client.next()
    assert header["dtype"] == "float32"
    np.testing.assert_allclose(values, pixels.reshape(32, 32, 64, 16).mean(axis=(1, 3)), rtol=1e-6)


def test_the_newest_image_comes_and_each_only_once(ring: LiveRing, client: LiveClient) -> None:
    for value in range(4):
        ring.publish(value)
    client.view(size=[8, 8])
    header, values, _ = client.next()
    assert (header["sequence"], values[0, 0]) == (3, 3)
    client.say(type="next")
    assert client.listen(0.5) == []
    for value in range(4, 9):
        ring.publish(value)
    header, values, _ = client.image()
    assert header["sequence"] in range(4, 9)
    assert (values == header["sequence"]).all()


def test_nothing_is_sent_before_it_is_asked_for(ring: LiveRing, client: LiveClient) -> None:
    ring.publish(1)
    assert client.listen(0.4) == []
    client.say(type="next")
    assert client.listen(0.4) == []
    client.view(size=[8, 8])
    assert client.image()[0]["sequence"] == 0
    ring.publish(2)
    assert client.listen(0.4) == []


def test_another_view_of_the_same_image_is_another_image(ring: LiveRing, client: LiveClient) -> None:
    pixels = noise()
    ring.publish(pixels)
    client.view(size=[16, 16])
    client.next()
    client.say(type="next")
    client.view(region=[0, 0, 4, 4], size=[16, 16])
    header, values, _ = client.image()
    assert header["sequence"] == 0
    np.testing.assert_array_equal(values, pixels[:4, :4])


def test_the_past_is_there_and_a_frozen_image_stays_when_the_ring_overwrites_it(
    ring: LiveRing, client: LiveClient
) -> None:
    for value in range(6):
        ring.publish(value)
    client.view(position=2, size=[8, 8])
    header, values, _ = client.next()
    assert (header["sequence"], values[0, 0]) == (2, 2)
    for value in range(6, 20):
        ring.publish(value)
    client.view(position=2, size=[9, 9], cursor=[5, 5])
    header, values, _ = client.next()
    assert (header["sequence"], values[0, 0], header["cursor"]["value"]) == (2, 2, 2)
    client.view(position=3, size=[8, 8])
    header, values, _ = client.next()
    assert header["sequence"] == header["ring"]["oldest"] > 3, "what is overwritten means the oldest in the ring"
    assert values[0, 0] == header["sequence"]
    client.view(position=10**6, size=[8, 8])
    assert client.next()[0]["sequence"] == 19


@pytest.mark.long
def test_what_is_in_the_ring_is_told_while_the_image_is_one_of_the_past(ring: LiveRing, client: LiveClient) -> None:
    for value in range(3):
        ring.publish(value)
    client.view(size=[8, 8])
    client.next()
    ring.publish(3)
    client.listen(1.5)
    assert client.rings == [], "each image tells it"
    client.view(position=1, size=[8, 8])
    client.next()
    ring.publish(4)
    client.listen(2.5)
    assert {"oldest": client.rings[-1]["oldest"], "newest": client.rings[-1]["newest"]} == {"oldest": 0, "newest": 4}
    n_told = len(client.rings)
    client.listen(1.5)
    assert len(client.rings) == n_told, "it has not changed"


@pytest.mark.long
def test_one_who_looks_at_the_past_is_told_that_the_ring_cannot_be_read(
    config: DetectorConfig, shown: RunningConsole, client: LiveClient
) -> None:
    image_buffer_path(config).write_bytes(b"no ring" * 1000)
    client.view(position=1, size=[8, 8])
    client.listen(2.5)
    assert client.states[-1]["word"] == "connecting"
    assert shown.count("daq_web_websockets") == 1


def test_what_did_not_arrive_is_missing(ring: LiveRing, client: LiveClient) -> None:
    ring.publish(7, missing_modules=(1,), missing_packets={1: 128})
    client.view(size=[2, 2])
    header, values, flags = client.next()
    assert flags.tolist() == [[0, 0], [MISSING, MISSING]]
    assert (values[0].tolist(), header["n_pixels"]) == ([7, 7], 512 * 1024)
    assert header["status"] != "good"
    assert header["missing_packets"] == 128
    pixels = np.full(SHAPE, 7, np.uint16)
    pixels[512:516] = 0
    ring.publish(pixels, missing_packets={1: 1})
    client.view(region=[0, 508, 4, 520], cursor=[2, 512])
    header, _, flags = client.next()
    assert flags[:, 0].tolist() == [0] * 4 + [MISSING] * 4 + [0] * 4
    assert header["cursor"] == {
        "x": 2,
        "y": 512,
        "value": None,
        "flag": MISSING,
        "row": {"begin": 0, "step": 1, "values": [None] * 4, "flags": [MISSING] * 4},
        "column": {
            "begin": 508,
            "step": 1,
            "values": [7] * 4 + [None] * 4 + [7] * 4,
            "flags": [0] * 4 + [MISSING] * 4 + [0] * 4,
        },
    }


def test_masked_pixels_are_marked_and_left_out(config_file: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        mask = np.zeros(SHAPE, np.uint32)
        mask[10, 20] = 1
        file["pixel_mask"] = mask
    options = {"mask_file": str(tmp_path / "mask.h5")}
    config_file.write_text(json.dumps(json.loads(config_file.read_text()) | {"detector": options}))
    config = load_any_config(config_file)
    assert isinstance(config, DetectorConfig)
    pixels = noise()
    pixels[10, 20] = 50000
    with (
        closing(LiveRing(config)) as ring,
        running_console(config_file) as running,
        LiveClient(running.url, NAME) as client,
    ):
        ring.publish(pixels)
        client.view(region=[18, 8, 22, 12], cursor=[20, 9])
        header, _, flags = client.next()
        assert np.argwhere(flags == MASKED).tolist() == [[2, 2]]
        assert header["max"] < 1000
        cursor = header["cursor"]
        assert (cursor["value"], cursor["flag"]) == (pixels[9, 20], 0)
        assert cursor["row"]["values"] == pixels[9, 18:22].tolist()
        assert cursor["column"]["values"] == [*pixels[8:10, 20].tolist(), None, pixels[11, 20]]
        assert cursor["column"]["flags"] == [0, 0, MASKED, 0]
        found = np.load(BytesIO(running.get(f"/api/v1/detectors/{NAME}/mask").body))
        assert np.argwhere(found).tolist() == [[10, 20]]


@pytest.mark.long
def test_states_are_told_in_words(config: DetectorConfig, shown: RunningConsole) -> None:
    with LiveClient(shown.url, NAME) as client:
        assert "assembler" in client.wait_for_state("connecting")["message"]
        ring = LiveRing(config)
        wait_until(lambda: not client.listen(0.1) and "detector" in client.states[-1]["message"], 10)
        ring.publish(1)
        assert client.wait_for_state("live")["message"] == ""
        state = client.wait_for_state("stale")
        assert "detector" in state["message"]
        assert abs(state["since"] - time.time()) < 60
        ring.publish(2)
        client.wait_for_state("live")
        ring.close()
        assert "assembler" in client.wait_for_state("ended")["message"]
        again = LiveRing(config)
        again.publish(41)
        client.wait_for_state("live")
        client.view(size=[4, 4])
        assert client.next()[1][0, 0] == 41
        again.close()


def test_an_image_that_vanishes_with_its_ring_is_followed_by_those_of_the_next_ring(
    config: DetectorConfig, shown: RunningConsole
) -> None:
    with LiveClient(shown.url, NAME) as client:
        client.view(size=[4, 4])
        for value in (1, 2, 3):
            ring = LiveRing(config)
            ring.publish(value)
            assert client.next()[1][0, 0] == value
            ring.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '{"type": "nothing"}',
        '{"type": "next", "more": 1}',
        '{"type": "view", "size": [0, 5]}',
        '{"type": "view", "size": [5000, 5]}',
        '{"type": "view", "region": [1, 2, 3]}',
        '{"type": "view", "region": [1, 2, 3, 1e99]}',
        '{"type": "view", "position": -1}',
        '{"type": "view", "position": "oldest"}',
        '{"type": "view", "reduce": "min"}',
        '{"type": "view", "rois": ' + str([[0, 0, 1, 1]] * 17) + "}",
        "[" * 30000,
    ],
)
def test_text_that_is_no_message_is_answered_and_what_was_asked_for_still_comes(
    ring: LiveRing, client: LiveClient, text: str
) -> None:
    ring.publish(5)
    client.socket.send(text)
    assert client.wait_for_error()
    client.view(size=[4, 4])
    assert client.next()[1][0, 0] == 5


def test_a_client_that_sends_nonsense_again_and_again_is_disconnected(ring: LiveRing, client: LiveClient) -> None:
    for _ in range(20):
        client.socket.send("nonsense")
    with pytest.raises(ConnectionClosed) as closed:
        client.listen(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize(("message", "code"), [(b"\x00\xff", 1003), ("x" * 100_000, 1009)], ids=["bytes", "long"])
def test_messages_that_are_no_short_text_end_the_connection(
    ring: LiveRing, client: LiveClient, message: str | bytes, code: int
) -> None:
    client.socket.send(message)
    with pytest.raises(ConnectionClosed) as closed:
        client.listen(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_detectors_that_are_unknown_have_no_images(shown: RunningConsole) -> None:
    with pytest.raises(InvalidStatus):
        LiveClient(shown.url, "unknown")


@pytest.mark.long
def test_a_client_that_does_not_read_costs_others_nothing(ring: LiveRing, shown: RunningConsole) -> None:
    with LiveClient(shown.url, NAME) as lazy, LiveClient(shown.url, NAME) as client:
        lazy.view()
        client.view(size=[8, 8])
        for i in range(40):
            ring.publish(noise(i) % 255)
            lazy.say(type="next")
            assert client.next()[0]["sequence"] == i
