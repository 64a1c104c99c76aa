"""A chamber in containers: simulated exporters, builder, analysis, view and recording, from its compose file."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from std_daq.recording.status_channel import StatusListener
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.validate import validate_merged
from std_test_kit.beamline import wait_accepted
from std_test_kit.container_beamline import ContainerBeamline
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.wait import wait_until

WAIT_S = 60.0
CONNECT_S = 10.0
BOARDS = [(cobo, asad) for cobo in range(4) for asad in range(2)]
CONFIGURATION = "/etc/std-daq/tpc.json"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def view_ports() -> tuple[int, int]:
    """Return the port of the page, and that of what is drawn."""
    return free_tcp_port(), free_tcp_port()


@pytest.fixture(scope="module")
def chamber(
    images: dict[str, str], user_id: int, view_ports: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerBeamline]:
    page, data = map(str, view_ports)
    settings = {"VIEW_PORT": page, "VIEW_DATA_PORT": data, "RATE_HZ": "10"}
    folder = tmp_path_factory.mktemp("chamber")
    with ContainerBeamline("chamber", folder, user_id=user_id, settings=settings, configuration="tpc.json") as beamline:
        beamline.up()
        yield beamline


def figures(chamber: ContainerBeamline, instance: str) -> dict[str, float]:
    """Return what `std-daq status` tells of a service."""
    status = json.loads(chamber.std_daq("status", "--json"))
    (found,) = (service for service in status["services"] if service["instance"] == instance)
    return {title: figure["value"] for title, figure in found["figures"].items()}


def record(chamber: ContainerBeamline, name: str, *write: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return chamber.record(name, write, None, **more)


def ids_of(file: Path) -> list[tuple[int, int]]:
    """Return epoch and id of each event of a merged file, which has to be right."""
    report = validate_merged(file)
    assert report.is_valid, report.problems
    with MergedFile(file) as merged:
        return [(event.epoch or 0, event.id or 0) for event in merged]


def test_write_request_gives_a_whole_file_of_the_user_and_its_analysis(chamber: ContainerBeamline) -> None:
    exit_code, report = record(chamber, "run.h5", "--n-events", "20")
    assert (exit_code, report["verdict"]) == (0, "complete"), report
    assert (report["n_written"], report["n_incomplete"], report["n_lost"]) == (20, 0, 0)
    file = chamber.data / "run.h5"
    assert (file.stat().st_uid, file.stat().st_gid) == (chamber.user_id, chamber.user_id)
    (epoch, first), *_ = ids = ids_of(file)
    assert ids == [(epoch, first + n) for n in range(20)]
    assert "events    20 of 20" in chamber.command("exec", "std-daq", "validate", "/data/run.h5")
    chamber.std_daq("analyse", "/data/run.h5", "--output", "/data/result.h5", "--workers", "1", timeout_s=120)
    wait_until(lambda: figures(chamber, "event-analysis")["estimates"] > 0, WAIT_S, lambda: chamber.logs())


def test_console_tells_the_state_of_each_service_and_the_events_that_were_analysed(chamber: ContainerBeamline) -> None:
    services = {"event-builder", "event-analysis", "event-view", "writer-agent", "h5-writer-0", "web"}
    told = chamber.wait_for_console(services)
    assert (told["absent"], told["broker"]["is_usable"]) == ([], True), told["findings"]
    panel = "/panel/chamber"
    wait_until(lambda: chamber.console(panel)["results"]["results"] > 0, WAIT_S, lambda: str(chamber.console(panel)))


def test_browsers_of_this_machine_reach_the_view_which_shows_events(
    chamber: ContainerBeamline, view_ports: tuple[int, int]
) -> None:
    page_port, data_port = view_ports
    origin = f"http://127.0.0.1:{page_port}"
    with urlopen(origin, timeout=10) as page:
        assert b"Rerun" in page.read()
    # What a browser asks before it lets the page have anything from another port.
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    with urlopen(Request(f"http://127.0.0.1:{data_port}/", headers=asked, method="OPTIONS"), timeout=10) as answer:
        assert answer.headers["access-control-allow-origin"] == origin
    (line,) = (line for line in chamber.container("event-view").logs.splitlines() if "open_in_a_browser" in line)
    assert json.loads(line)["url"].startswith(f"{origin}?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A{data_port}%2F")
    wait_until(lambda: figures(chamber, "event-view")["shown"] > 0, WAIT_S, lambda: chamber.logs())
    assert figures(chamber, "event-view")["viewers"] == 1
    chamber.std_daq("event-view", "--reset")


def test_killed_services_come_back_and_the_run_ends_with_an_honest_verdict(chamber: ContainerBeamline) -> None:
    names = ("event-builder", "event-view", "exporters")
    killed = [chamber.container(name) for name in names]
    n_restarts = [container.n_restarts for container in killed]
    file = chamber.data / "killed.h5"

    def kill() -> None:
        wait_until(lambda: file.exists() and file.stat().st_size > 2_000_000, WAIT_S)
        for container in killed:
            os.kill(container.pid, signal.SIGKILL)

    exit_code, report = record(chamber, file.name, "--n-events", "30", "--image-timeout-s", "60", fault=kill)
    ids = ids_of(file)
    assert len(ids) == report["n_written"]
    assert len(set(ids)) == len(ids)
    assert len({epoch for epoch, _ in ids}) == 2, "the numbers began again"
    is_whole = report["n_written"] == 30 and report["n_incomplete"] == report["n_lost"] == 0
    assert (exit_code, report["verdict"]) == ((0, "complete") if is_whole else (3, "incomplete")), report
    assert [container.n_restarts for container in killed] == [n + 1 for n in n_restarts]
    for name in ("event-builder", "event-view"):
        chamber.container(name).wait_for_health(lambda health: health.status == "healthy", WAIT_S)

    exit_code, report = record(chamber, "after.h5", "--n-events", "10")
    assert (exit_code, report["n_written"], report["n_incomplete"]) == (0, 10, 0), report
    wait_until(lambda: figures(chamber, "event-view")["shown"] > 0, WAIT_S, lambda: chamber.logs())


def test_recorded_frames_are_sent_again_in_the_place_of_the_simulation(chamber: ContainerBeamline) -> None:
    exit_code, report = record(chamber, "raw.h5", "--n-events", "10", "--format", "hdf5+graw")
    assert exit_code == 0, report
    frames = sorted(f"/data/raw_graw/{file.name}" for file in (chamber.data / "raw_graw").glob("*.graw"))
    assert len(frames) == len(BOARDS)
    chamber.command("compose", "stop", "exporters")
    what = ("--output-file", "/data/again.h5", "--n-events", "10", "--image-timeout-s", str(WAIT_S))
    replay = ("replay", "--config", CONFIGURATION, "--rate-hz", "20", "--json", *frames)
    url = chamber.broker_url_file("listener").read_text().strip()
    with (
        StatusListener(url) as listener,
        chamber.start("std-daq", "write", "--config", CONFIGURATION, "--json", *what) as writing,
    ):
        listener.connection.wait_connected(CONNECT_S)
        wait_accepted(listener, Path("/data/again.h5"))
        sent = json.loads(chamber.command("compose", "run", "--rm", "--use-aliases", "-T", "exporters", *replay))
        out, err = writing.communicate(timeout=WAIT_S)
    assert (sent["n_events"], sent["n_frames"], sent["n_damaged"]) == (10, 10 * len(BOARDS), 0)
    assert writing.returncode == 0, (out, err)
    with MergedFile(chamber.data / "raw.h5") as recorded, MergedFile(chamber.data / "again.h5") as again:
        for one, other in zip(recorded, again, strict=True):
            assert (one.id, one.timestamp, one.is_complete) == (other.id, other.timestamp, other.is_complete)
            np.testing.assert_array_equal(one.traces, other.traces)
    assert ids_of(chamber.data / "again.h5")[0] > ids_of(chamber.data / "raw.h5")[-1], "the numbers began again"
