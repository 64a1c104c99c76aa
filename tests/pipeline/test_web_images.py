"""Live images of a real beamline in the console: known pixels, many clients and slow ones, a restart."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pytest

from std_daq.imaging.detectors.registry import open_detector
from std_test_kit.beamline import Beamline
from std_test_kit.beamline_documents import beamline_document
from std_test_kit.expected_images import expected_image
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.live_images import LiveClient
from std_test_kit.shared_place import SharedPlace
from std_test_kit.wait import wait_until

pytestmark = pytest.mark.timeout(240)
N_CLIENTS = 20


@dataclass
class Station:
    """An EIGER with its console, whose detector goes on to count where the test before has ended."""

    beamline: Beamline
    url: str
    next_id: int = 1

    def simulate(self, n_images: int) -> list[str]:
        """Return the command that sends the next images, the first of which has the id `next_id` of before."""
        more = ["--rate-hz", "20", "--pattern", "counter", "--first-frame", str(self.next_id)]
        self.next_id += n_images
        return ["simulate", "--n-images", str(n_images), *more]


@pytest.fixture(scope="module")
def station(broker_url: str, shared_place: SharedPlace) -> Iterator[Station]:
    port = free_tcp_port()
    place = shared_place.name, shared_place.folder, shared_place.shm_dir
    document = beamline_document("eiger", *place, services={"web": {"port": port}})
    with Beamline(shared_place.folder, broker_url, document) as beamline:
        yield Station(beamline, f"http://127.0.0.1:{port}")


@pytest.mark.long
def test_known_pixels_of_the_newest_image_and_of_the_past_arrive(station: Station) -> None:
    beamline, url, n_images = station.beamline, station.url, 12
    first = station.next_id
    with LiveClient(url, beamline.config.name) as client:
        client.view(size=[4096, 4096])
        assert beamline.run(*station.simulate(n_images))[0] == 0
        detector = open_detector(beamline.config)
        frames = list(islice(detector.simulated_frames("counter", 0), n_images))
        converter = detector.converter()
        newest: dict[str, Any] = {}

        def has_last() -> bool:
            newest.update(client.next()[0])
            return bool(newest["image_id"] == first + n_images - 1)

        wait_until(has_last, 20.0)
        for number in (n_images, n_images - 5):
            client.view(size=[4096, 4096], position=newest["sequence"] - n_images + number, cursor=[700, 300])
            header, values, flags = client.next()
            expected = expected_image(detector, converter, frames[number - 1], number, {})
            assert header["image_id"] == first + number - 1
            np.testing.assert_array_equal(values, expected)
            assert header["cursor"]["value"] == expected[300, 700]
            assert not (flags & 1).any()
        client.wait_for_state("stale")


class Watching:
    """Clients that take each image they can, and some that never read, while something else runs."""

    def __init__(self, url: str, name: str, stack: ExitStack) -> None:
        self.clients = [stack.enter_context(LiveClient(url, name)) for _ in range(N_CLIENTS - 2)]
        lazy = [stack.enter_context(LiveClient(url, name)) for _ in range(2)]
        for client in lazy:
            client.view()
            for _ in range(1000):
                client.say(type="next")
        self.seen: list[list[int]] = [[] for _ in self.clients]
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._look, args=(client, seen))
            for client, seen in zip(self.clients, self.seen, strict=True)
        ]
        for thread in self._threads:
            thread.start()
        stack.callback(self.end)

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _look(self, client: LiveClient, seen: list[int]) -> None:
        client.view(size=[200, 200], histogram=True)
        client.say(type="next")
        while not self._is_over.is_set():
            try:
                header, *_ = client.image(timeout_s=0.5)
            except TimeoutError:
                continue
            seen.append(header["image_id"])
            client.say(type="next")


@pytest.mark.long
def test_twenty_clients_of_which_two_never_read_cost_no_packet(station: Station) -> None:
    beamline, n_images = station.beamline, 60
    with ExitStack() as stack:
        watching = Watching(station.url, beamline.config.name, stack)
        exit_code, report = beamline.record(
            beamline.folder / "run.h5", ["--n-images", str(n_images)], station.simulate(n_images)
        )
        last = station.next_id - 1
        wait_until(lambda: all(seen and seen[-1] == last for seen in watching.seen), 20.0)
    assert (exit_code, report["verdict"], report["n_written"]) == (0, "complete", n_images)
    assert report["n_incomplete"] == 0
    for seen in watching.seen:
        assert seen == sorted(set(seen)), "an image came twice, or an older one after a newer one"


@pytest.mark.long
def test_images_come_again_after_a_restart_of_the_assembler(station: Station) -> None:
    beamline = station.beamline
    with LiveClient(station.url, beamline.config.name) as client:
        client.view(size=[100, 100])
        assert beamline.run(*station.simulate(5))[0] == 0
        wait_until(lambda: client.next()[0]["image_id"] == station.next_id - 1, 20.0)
        old = beamline.kill("assembler")
        beamline.wait_restarted("assembler", old)  # it may be back before anybody has seen that it had ended
        client.wait_for_state("stale", 30.0)
        station.next_id += 90
        assert beamline.run(*station.simulate(5))[0] == 0
        wait_until(lambda: client.next()[0]["image_id"] == station.next_id - 1, 20.0)
        assert "live" in [state["word"] for state in client.states[-3:]]
