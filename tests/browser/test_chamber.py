"""The panel of a chamber whose events are real: exporters, builder, ring, analysis, console, browser."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from std_daq.tpc.config import TpcConfig
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.events.paths import event_buffer_path
from std_daq.tpc.pads.channel_map import write_channel_map
from std_daq.tpc.simulation.invented_map import invented_map
from std_test_kit.beamline import Beamline
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.wait import wait_until
from std_test_kit.web_process import WebProcess

OpenPage = Callable[..., Page]
BOARDS = [(cobo, asad) for cobo in range(2) for asad in range(4)]
N_EVENTS = 200
WITHIN_S = 120.0
# How many pixels of the scene have one of the colours of clusters.
COLOURED = """canvas => {
    const colours = new Set(["31,119,180", "255,127,14", "44,160,44", "214,39,40"]);
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let n = 0;
    for (let i = 0; i < data.length; i += 4) n += colours.has(`${data[i]},${data[i + 1]},${data[i + 2]}`);
    return n;
}"""
DRAWN = """canvas => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
}"""

pytestmark = pytest.mark.timeout(500)


@pytest.fixture
def chamber(tmp_path: Path, shm_dir: Path, runtime: Path, broker_url: str) -> Iterator[Beamline]:
    write_channel_map(tmp_path / "map.csv", invented_map(BOARDS, 10240))
    document = {
        "detector_name": runtime.name,
        "detector_type": "get-tpc",
        "exporters": [f"127.0.0.1:{free_tcp_port()}" for _ in range(2)],
        "pads": {"electronics": "map.csv", "geometry": "attpc", "scale": "attpc", "beam_radius_mm": 20},
        "builder": {"ram_buffer_gb": 0.009},
        "analysis": {"detector": {"magnetic_field": 2.85}},
        "shared_memory": {"directory": str(shm_dir)},
        "writer": {"output_roots": [str(tmp_path)], "image_timeout_s": 30.0, "min_free_gb": 0},
    }
    with Beamline(tmp_path, broker_url, document, "tpc.json") as running:
        yield running


def state_of(page: Page, name: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        "name => fetch(`api/v1/detectors/${name}/panel/chamber`).then(answer => answer.json())", name
    )
    return found


@pytest.mark.long
def test_events_of_exporters_are_seen_as_clusters_with_histograms_and_the_account_of_the_builder(
    chamber: Beamline, tmp_path: Path, open_page: OpenPage
) -> None:
    name = chamber.config.name
    with WebProcess(tmp_path, chamber.config_file) as web:
        page = open_page(f"{web.url}/?view=panel", height=1400)
        expect(page.locator(".event-title")).to_have_text("No event yet")
        sent = ["--n-events", str(N_EVENTS), "--rate-hz", "10", "--n-made", "8", "--json"]
        with chamber.start("simulate", *sent) as sending:
            # The events are made first, and the analysis may compile what it is the first to need.
            expect(page.locator(".event-title")).to_contain_text("of run 0", timeout=WITHIN_S * 1000)
            page.get_by_label("circles of the tracks").uncheck()
            page.get_by_label("points of no cluster").uncheck()
            scene = page.locator(".scene canvas")
            wait_until(lambda: int(scene.evaluate(COLOURED)) > 50, WITHIN_S)
            expect(page.get_by_text("connected", exact=True)).to_have_count(2)
            exit_code, _, err = sending.finish(WITHIN_S)
        assert exit_code == 0, err
        expect(page.locator(".builder")).to_contain_text(f"events complete{N_EVENTS}")
        expect(page.locator(".builder")).to_contain_text("events incomplete0")
        boards = page.get_by_role("table").filter(has=page.get_by_text("CoBo"))
        for cobo, asad in BOARDS:
            expect(boards).to_contain_text(f"{cobo}{asad}{N_EVENTS}")

        wait_until(lambda: _is_at_rest(state_of(page, name)), WITHIN_S, lambda: json.dumps(state_of(page, name)))
        state = state_of(page, name)
        assert (state["builder"]["events"], state["results"]["missed"]) == ({"complete": N_EVENTS, "incomplete": 0}, 0)
        assert [board["missing"] for board in state["boards"]] == [0] * len(BOARDS)
        assert state["analysis"]["events"] + sum(state["analysis"]["left_out"].values()) == N_EVENTS
        expect(page.locator(".event-title")).to_have_text(f"Event {state['results']['newest_id']} of run 0")
        n_events, n_estimates = state["analysis"]["events"], state["analysis"]["estimates"]
        assert n_estimates > 0
        expect(page.locator(".histograms").locator("..")).to_contain_text(
            f"run 0: {n_events:,} events with {n_estimates:,} estimates"
        )
        histograms = page.locator(".histograms canvas")
        expect(histograms).to_have_count(6)
        assert all(int(one.evaluate(DRAWN)) > 2 for one in histograms.all())
        _check_that_the_ring_has_wrapped(chamber)


def _is_at_rest(state: dict[str, Any]) -> bool:
    """Return whether all events have been analysed, and their results have come."""
    analysis = state["analysis"]
    n_done = analysis["events"] + sum(analysis["left_out"].values())
    return bool(n_done == N_EVENTS and state["results"]["results"] == analysis["events"])


def _check_that_the_ring_has_wrapped(chamber: Beamline) -> None:
    assert isinstance(chamber.config, TpcConfig)
    ring = EventBuffer.attach(event_buffer_path(chamber.config))
    try:
        assert ring.journal.next_sequence == N_EVENTS
        assert ring.oldest > 0, "no event was overwritten"
    finally:
        ring.close()
