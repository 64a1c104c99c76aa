"""The panel of a chamber: events and histograms of a stream of results, and the account of a real event builder."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from std_daq.tpc.config import load_tpc_config
from std_daq.tpc.reconstruction.results import results_address
from std_test_kit.event_results import ResultsPublisher, chamber_document
from std_test_kit.helix_results import helix_result
from std_test_kit.panel_client import PanelClient
from std_test_kit.tpc_builder_process import BuilderProcess, tpc_document
from std_test_kit.tpc_exporters import ScriptedExporter, message_of
from std_test_kit.wait import wait_until
from std_test_kit.web_console import TOKEN, RunningConsole, running_console

WITHIN_S = 20.0
PANEL = "/api/v1/detectors/chamber/panel/chamber"


@pytest.fixture
def chamber(tmp_path: Path, shm_dir: Path, runtime: Path) -> Path:
    file = tmp_path / "tpc.json"
    file.write_text(json.dumps(chamber_document(shm_dir, analysis={"detector": {"magnetic_field": 1.0}})))
    return file


@pytest.fixture
def console(chamber: Path) -> Iterator[RunningConsole]:
    with running_console(chamber) as running:
        yield running


@pytest.fixture
def publisher(chamber: Path, console: RunningConsole) -> Iterator[ResultsPublisher]:
    with ResultsPublisher(results_address(load_tpc_config(chamber))) as publishing:
        publishing.wait_for_subscriber()
        yield publishing


def n_results(console: RunningConsole) -> int:
    return int(console.get(PANEL).json()["results"]["results"])


def test_points_and_clusters_of_the_newest_event_are_those_that_were_published(
    console: RunningConsole, publisher: ResultsPublisher
) -> None:
    sent = helix_result(0)
    publisher.publish(sent)
    with PanelClient(console, "chamber/panel/chamber/events") as browser:
        header, arrays = browser.next()
    np.testing.assert_allclose(arrays["points"], sent.cloud[:, :3], rtol=1e-6)
    np.testing.assert_array_equal(arrays["labels"], sent.labels)
    assert (header["id"], header["n_points"], header["n_noise"]) == (0, 1000, 200)
    assert [cluster["label"] for cluster in header["clusters"]] == [0, 1]
    assert [cluster["n_points"] for cluster in header["clusters"]] == [400, 400]
    np.testing.assert_allclose([cluster["circle"][3] for cluster in header["clusters"]], [60, 80])


def test_browser_that_is_slow_gets_the_newest_event_and_not_those_before(
    console: RunningConsole, publisher: ResultsPublisher
) -> None:
    with PanelClient(console, "chamber/panel/chamber/events") as browser:
        for number in range(200):
            publisher.publish(helix_result(number, n_points=50, n_noise=0))
        wait_until(lambda: n_results(console) == 200, WITHIN_S)
        header, _ = browser.next()
        assert header["id"] == 199
        publisher.publish(helix_result(200, n_points=50))
        header, _ = browser.next()
        assert header["id"] == 200


def test_histograms_hold_all_events_also_those_before_somebody_looked(
    console: RunningConsole, publisher: ResultsPublisher
) -> None:
    for number in range(30):
        publisher.publish(helix_result(number, n_points=10))
    wait_until(lambda: n_results(console) == 30, WITHIN_S)
    with PanelClient(console, "chamber/panel/chamber/histograms") as browser:
        for scope in ("run", "recent"):
            browser.send(type="view", scope=scope)
            header, arrays = browser.next()
            assert (header["scope"], header["n_events"], header["n_estimates"]) == (scope, 30, 60)
            assert arrays["polar_angle"].sum() == 60
            assert arrays["particle_id"].sum() == 60
            assert max(arrays["particle_id"].shape) <= 128


def test_histograms_begin_anew_with_the_token_only(console: RunningConsole, publisher: ResultsPublisher) -> None:
    publisher.publish(helix_result(0))
    wait_until(lambda: n_results(console) == 1, WITHIN_S)
    assert console.ask("POST", f"{PANEL}/histograms/reset").status == 401
    with PanelClient(console, "chamber/panel/chamber/histograms") as browser:
        assert browser.next()[0]["n_events"] == 1
        assert console.ask("POST", f"{PANEL}/histograms/reset", token=TOKEN).status == 200
        assert browser.next()[0]["n_events"] == 0


def test_missed_results_and_damaged_messages_are_no_events(
    console: RunningConsole, publisher: ResultsPublisher
) -> None:
    publisher.publish(helix_result(0))
    publisher.publish_parts([b"garbage"])
    publisher.publish(helix_result(5))
    wait_until(lambda: n_results(console) == 2, WITHIN_S)
    results = console.get(PANEL).json()["results"]
    assert (results["missed"], results["newest_id"]) == (4, 5)


def test_unknown_histograms_end_the_websocket(console: RunningConsole) -> None:
    with PanelClient(console, "chamber/panel/chamber/histograms") as browser:
        browser.send(type="view", scope="tomorrow")
        with pytest.raises(ConnectionClosed) as closed:
            _read_to_the_end(browser)
    assert "scope is one of run, recent" in str(closed.value)


def _read_to_the_end(browser: PanelClient) -> None:
    while True:
        browser.socket.recv(WITHIN_S)


def test_other_systems_have_no_panel_of_a_chamber(console: RunningConsole) -> None:
    answer = console.get("/api/v1/detectors/chamber/panel/telescope")
    assert answer.status == 404
    assert "'chamber' is no telescope" in answer.json()["detail"]


@pytest.mark.long
def test_account_of_the_builder_adds_up(tmp_path: Path, shm_dir: Path, runtime: Path) -> None:
    exporter = ScriptedExporter()
    document = tpc_document(shm_dir, runtime, [exporter.address], boards=[[0, 0], [0, 1]])
    builder = BuilderProcess(tmp_path, document)
    try:
        builder.start()
        with running_console(builder.file) as console:
            wait_until(lambda: bool(exporter.accept()), WITHIN_S)
            for number in range(5):
                exporter.send(message_of(number, (0, 0)))
            for number in range(4):
                exporter.send(message_of(number, (0, 1)))
            exporter.send(message_of(4, (0, 0)))
            exporter.send(message_of(9, (2, 3)))

            def builder_account() -> dict[str, dict[str, int]]:
                return dict(console.get(PANEL).json()["builder"])

            wait_until(lambda: sum(builder_account()["events"].values()) == 5, WITHIN_S)
            account = builder_account()
            assert account["events"] == {"complete": 4, "incomplete": 1}
            assert {name: n for name, n in account["frames"].items() if n} == {
                "used": 9, "duplicate": 1, "unexpected": 1,
            }  # fmt: skip
            state = console.get(PANEL).json()
            assert [(board["asad"], board["frames"], board["missing"]) for board in state["boards"]][:2] == [
                (0, 5, 0), (1, 4, 1),
            ]  # fmt: skip
            assert state["exporters"][0]["is_connected"]
    finally:
        builder.close()
        exporter.close()
