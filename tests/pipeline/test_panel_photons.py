"""The panel of a photon simulation with a real router and real workers: hits of the newest event, workers, queue."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.client.scrape import read_page
from std_daq.photons.config import FarmConfig
from std_daq.photons.sim_client import SimClient
from std_daq.service.record import read_records
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.panel_client import PanelClient
from std_test_kit.photon_farm import PhotonProcess, ask, wait_for_answer
from std_test_kit.photon_tank import N_CHANNELS, TANK, event_photons, write_tank
from std_test_kit.shared_place import SharedPlace
from std_test_kit.upstream_farm import UpstreamWorker, first_photon_is_hit
from std_test_kit.wait import wait_until
from std_test_kit.web_console import RunningConsole, running_console

WITHIN_S = 100.0
PANEL = "/api/v1/detectors/tank/panel/farm"
HITS = "tank/panel/farm/hits"


class Farm:
    """A router, whose configuration a console has."""

    def __init__(self, folder: Path) -> None:
        self.clients, self.backend = (f"tcp://127.0.0.1:{free_tcp_port()}" for _ in range(2))
        names = ("--system", "tank", "--instance", "sim-router")
        self.router = PhotonProcess("std_sim_router", "--frontend", self.clients, "--backend", self.backend, *names)
        document = {
            "name": "tank",
            "geometry": str(folder / "tank.json"),
            "frontend": self.clients,
            "backend": self.backend,
            "runtime_dir": str(self.router.folder / "run"),
        }
        self.file = folder / "farm.json"
        self.file.write_text(json.dumps(document))
        self.config = FarmConfig.model_validate(document)

    def page(self, path: str) -> dict[str, Any]:
        (record,) = [one for one in read_records(self.config) if one.instance == "sim-router"]
        page = read_page(record.socket, path)
        assert page is not None
        return page


def running_farm(folder: Path) -> Iterator[Farm]:
    farm = Farm(folder)
    with farm.router:
        wait_for_answer(farm.clients)
        yield farm


@pytest.fixture(scope="module")
def shared_farm(shared_place: SharedPlace) -> Iterator[Farm]:
    yield from running_farm(shared_place.folder)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A router that has seen no worker, client or event."""
    yield from running_farm(tmp_path)


@pytest.fixture
def console(farm: Farm) -> Iterator[RunningConsole]:
    with running_console(farm.file) as running:
        yield running


def state(console: RunningConsole) -> dict[str, Any]:
    document: dict[str, Any] = console.get(PANEL).json()
    return document


@pytest.mark.long
def test_map_has_the_hits_that_the_client_got(farm: Farm, console: RunningConsole, tmp_path: Path) -> None:
    geometry = write_tank(tmp_path)
    worker = PhotonProcess(
        *("std_sim_worker", "--geometry", geometry, "--router", farm.backend, "--threads", 1, "--backend", "cpu")
    )
    with worker, SimClient(farm.clients) as client, PanelClient(console, HITS) as browser:
        worker.wait_for_log("router_connected")
        for event_id in (3, 4):
            hits = client.simulate(event_photons(20_000, event_id), event_id, WITHIN_S)
            header, arrays = browser.next(WITHIN_S)
            while header["event_id"] != event_id:
                header, arrays = browser.next(WITHIN_S)
            np.testing.assert_array_equal(arrays["counts"], np.bincount(hits["channel"], minlength=N_CHANNELS))
            assert header["n_hits"] == len(hits) > 0
            times = [hits["time"][hits["channel"] == channel].mean() for channel in range(N_CHANNELS)]
            np.testing.assert_allclose(arrays["times"], times, atol=0.01)
            if event_id == 3:
                np.testing.assert_allclose(arrays["positions"], TANK["arrays"][0]["positions"])
            else:
                assert "positions" not in arrays  # the browser has them
        wait_until(lambda: state(console)["workers_by_state"].get("idle") == 1, WITHIN_S)
        assert state(console)["counts"]["completed"] == 2


@pytest.mark.long
def test_state_tells_queue_and_workers_of_others(farm: Farm, console: RunningConsole) -> None:
    with SimClient(farm.clients) as client:
        futures = [client.submit(event_photons(5, number), number) for number in range(7)]
        wait_until(lambda: state(console)["waiting"] == 7, WITHIN_S)
        assert state(console)["connected"] == []
        with UpstreamWorker(farm.backend, first_photon_is_hit):
            for future in futures:
                future.result(20)
            wait_until(lambda: [one["state"] for one in state(console)["connected"]] == ["idle"], WITHIN_S)
            wait_until(lambda: state(console)["counts"]["completed"] == 7, WITHIN_S)


@pytest.mark.long
def test_hits_of_channels_that_the_detector_has_not_are_told(shared_farm: Farm) -> None:
    with (
        UpstreamWorker(shared_farm.backend, first_photon_is_hit),  # it hits channel 7, and tells of a single one
        SimClient(shared_farm.clients) as client,
        running_console(shared_farm.file) as console,
        PanelClient(console, HITS) as browser,
    ):
        client.simulate(event_photons(5, 1), 1, 20)
        header, arrays = browser.next(WITHIN_S)
        while header["event_id"] != 1:
            header, arrays = browser.next(WITHIN_S)
        assert (header["n_hits"], header["n_unknown"], arrays["counts"].tolist()) == (1, 1, [0])


def test_watchers_ask_workers_once_and_clients_nothing(farm: Farm) -> None:
    with UpstreamWorker(farm.backend, first_photon_is_hit) as worker:
        wait_until(lambda: len(farm.page("/workers")["workers"]) == 1, WITHIN_S)
        wait_until(lambda: farm.page("/channels")["id"] is not None, WITHIN_S)
        for _ in range(200):
            farm.page("/channels")
            farm.page("/last-hits")
        assert worker.headers == [b"DETECTOR_INFO"]
        assert farm.page("/channels")["positions"] == [[1, 2, 3]]
        assert ask(farm.clients, [b"DETECTOR_INFO"])[0] == b"DETECTOR_INFO"
        assert worker.headers == [b"DETECTOR_INFO"]


def test_hits_are_counted_at_most_five_times_a_second(shared_farm: Farm) -> None:
    with UpstreamWorker(shared_farm.backend, first_photon_is_hit), SimClient(shared_farm.clients) as client:
        seen = set()
        began_s = time.monotonic()
        for number in range(100):
            client.simulate(event_photons(5, number), number, 20)
            seen.add(shared_farm.page("/last-hits").get("event_id"))
        elapsed_s = time.monotonic() - began_s
        assert len(seen) <= elapsed_s / 0.2 + 2


@pytest.mark.long
def test_panel_tells_that_the_router_does_not_run(farm: Farm, console: RunningConsole) -> None:
    wait_until(lambda: state(console)["answers"], WITHIN_S)
    farm.router.end()
    wait_until(lambda: not state(console)["answers"], WITHIN_S)
    assert "the router of tank does not run" in state(console)["message"]
    farm.router.start()
    wait_until(lambda: state(console)["answers"], WITHIN_S)
