"""The view: results come in, histograms take all of them, viewers see the newest."""

import argparse
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.errors import ArgumentError, ConfigError, ResourceError
from std_daq.tpc.config import TpcConfig, load_tpc_config
from std_daq.tpc.events.board_bits import boards_to_bits
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.events.paths import event_buffer_path
from std_daq.tpc.reconstruction.results import results_address
from std_daq.tpc.view.commands import ViewCommand, send_command
from std_daq.tpc.view.event_drawing import EventDrawing
from std_daq.tpc.view.results_source import ResultsSource
from std_daq.tpc.view.timeline import event_time
from std_daq.view3d.viewer_address import ViewerAddress
from std_event_view.__main__ import start
from std_event_view.event_recording import EventRecording
from std_event_view.event_view import EventView, state_text
from std_event_view.service import SERVICE
from std_test_kit.event_results import ResultsPublisher, chamber_document, made_up_result
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.rerun_recordings import Recording, read_recording, viewer_process
from std_test_kit.services import service_context
from std_test_kit.wait import wait_until

Figures = dict[str, float]


@pytest.fixture
def config(tmp_path: Path, shm_dir: Path, runtime: Path) -> TpcConfig:
    path = tmp_path / "tpc.json"
    path.write_text(json.dumps(chamber_document(shm_dir)))
    return load_tpc_config(path)


@pytest.fixture
def publisher(config: TpcConfig) -> Iterator[ResultsPublisher]:
    with ResultsPublisher(results_address(config)) as publishing:
        yield publishing


class _View:
    """A view in this process, and what it counts."""

    def __init__(self, view: EventView, registry: Any) -> None:
        self._view, self._registry = view, registry

    def figure(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(f"daq_event_view_{name}", labels) or 0.0

    def step_until_taken(self, n: int) -> None:
        wait_until(lambda: self._view.step() or self.figure("results_total") >= n, 20)
        self._view.step()

    def step(self) -> None:
        self._view.step()


@contextmanager
def _view(config: TpcConfig, **arguments: Any) -> Iterator[_View]:
    parser = argparse.ArgumentParser()
    SERVICE.add_arguments(parser)
    context = service_context(config, **vars(parser.parse_args([])) | arguments)
    view = start(context)
    try:
        yield _View(view, context.registry)
    finally:
        view.close()


def _publish_ring(config: TpcConfig, event_id: int, missing: tuple[tuple[int, int], ...] = (), epoch: int = 0) -> None:
    """Publish an event of two traces in the ring; pads 7 and 9."""
    ring, _ = EventBuffer.create(event_buffer_path(config), buffer_bytes=10_000_000, max_traces=100)
    traces = ring.begin_event(2)
    traces[:] = np.random.default_rng(event_id).normal(300, 4, (2, 517)).round()
    traces[:, :5] = [[0, 0, 0, 1, 7], [0, 0, 0, 2, 9]]
    traces[1, 100] = 2000
    ring.publish(
        event_id=event_id, epoch=epoch, n_traces=2, timestamp=1, timestamp_other=1, n_boards=2,
        missing_bits=boards_to_bits(missing), first_arrival_ns=1, built_ns=2,
    )  # fmt: skip
    ring.close()


def test_all_results_are_recorded_and_are_in_the_histograms(
    config: TpcConfig, publisher: ResultsPublisher, tmp_path: Path
) -> None:
    output = tmp_path / "run.rrd"
    with _view(config, output=output) as view:
        publisher.wait_for_subscriber()
        for number in range(50):
            publisher.publish(made_up_result(number, number=number))
        view.step_until_taken(50)
    recording = read_recording(output)
    assert [row.times["event_time"] for row in recording.rows["/event/cloud"]] == list(range(50))
    assert recording.has_blueprint
    (counts,) = recording.rows["/histograms/brho"][-1].components["BarChart:values"]
    assert sum(counts["buffer"]) == 50
    (text,) = recording.rows["/histograms/tally"][-1].components["TextDocument:text"]
    assert "**run 0**: 50 events with 50 estimates; 0 events left out" in text


def test_results_that_are_missing_are_told(config: TpcConfig, publisher: ResultsPublisher, tmp_path: Path) -> None:
    with _view(config, output=tmp_path / "run.rrd") as view:
        publisher.wait_for_subscriber()
        publisher.publish(made_up_result(10, number=10, n_left_out=100))
        publisher.publish(made_up_result(11, number=11, n_left_out=102))
        publisher.publish(made_up_result(15, number=15, n_left_out=102))
        publisher.publish_parts([b"no result"])
        # The analysis was started again; in between 30 events had come that nobody analysed.
        again = {"analysis": 2, "first_sequence": 16 + 102 + 30}
        publisher.publish(made_up_result(0, number=1, n_left_out=4, epoch=1, **again))
        publisher.publish(made_up_result(16, number=16, n_left_out=102))  # was under way for long, and is counted
        view.step_until_taken(4)
        assert view.figure("damaged_total") == 1
        assert view.figure("missed_total") == 3 + 1
        assert view.figure("left_out_total") == 2 + 4 + 30
    texts = [
        row.components["TextDocument:text"][0] for row in read_recording(tmp_path / "run.rrd").rows["/histograms/tally"]
    ]
    assert texts[-1] == "**run 1**: 1 events with 1 estimates; 35 events left out"


def _row_texts(recording: Recording, entity: str) -> list[str]:
    return [row.components["TextDocument:text"][0] for row in recording.rows.get(entity, [])]


@pytest.mark.long
def test_a_viewer_sees_events_boards_waveforms_and_histograms(
    config: TpcConfig, publisher: ResultsPublisher, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.rrd"
    _publish_ring(config, 1)
    with viewer_process(saved) as (address, _), _view(config, viewer=address, pad=[9]) as view:
        publisher.wait_for_subscriber()
        publisher.publish(made_up_result(3))
        _publish_ring(config, 2, missing=((0, 1),))
        wanted = {"/event/clusters", "/boards", "/waveforms/pad_9", "/histograms/kinematics", "/recent/brho", "/state"}

        def has_come() -> bool:
            view.step()
            return wanted <= set(read_recording(saved).rows)

        wait_until(has_come, 30)
        wait_until(lambda: view.step() or view.figure("shown_total", viewer=str(address)) == 1, 20)
        assert view.figure("connected", viewer=str(address)) == 1
    recording = read_recording(saved)
    assert "| 0 | 1 | 0 | 0.0 | 1 (100.0 %) |" in _row_texts(recording, "/boards")[-1]
    assert any(text.startswith("**event 3 of run 0**") for text in _row_texts(recording, "/state"))


def test_an_older_event_never_takes_the_place_of_a_newer_one(
    config: TpcConfig, publisher: ResultsPublisher, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, _), _view(config, viewer=address) as view:
        publisher.wait_for_subscriber()
        older = made_up_result(6, number=1)
        publisher.publish(made_up_result(7, number=0))
        publisher.publish(older)
        view.step_until_taken(2)
        wait_until(lambda: view.step() or "/event/cloud" in read_recording(saved).rows, 20)
        publisher.publish(made_up_result(8, number=2))
        view.step_until_taken(3)
        wait_until(lambda: view.step() or len(read_recording(saved).rows["/event/cloud"]) == 2, 20)
    assert [row.times["event_time"] for row in read_recording(saved).rows["/event/cloud"]] == [7, 8]


@pytest.mark.long
def test_a_view_that_was_stopped_skips_to_the_newest_before_it_records_the_others(
    config: TpcConfig, publisher: ResultsPublisher, tmp_path: Path
) -> None:
    saved, output = tmp_path / "saved.rrd", tmp_path / "run.rrd"
    n = 400  # recording them takes several steps
    with viewer_process(saved) as (address, _), _view(config, viewer=address, output=output) as view:
        publisher.wait_for_subscriber()
        for number in range(n):
            publisher.publish(made_up_result(number, number=number, n_points=2000))
        view.step_until_taken(n)
        wait_until(lambda: view.step() or view.figure("shown_total", viewer=str(address)) >= 1, 20)
        wait_until(lambda: view.step() or n - 1 in _event_times(saved), 20)
        assert view.figure("replaced_total", viewer=str(address)) + len(_event_times(saved)) <= 5, "it went one by one"
        wait_until(lambda: view.step() or view.figure("shown_age_seconds", viewer=str(address)) > 0, 20)
        assert view.figure("missed_total") == view.figure("unrecorded_total") == 0
    assert _event_times(output) == list(range(n))


def _event_times(path: Path) -> list[int]:
    return [row.times["event_time"] for row in read_recording(path).rows.get("/event/cloud", [])]


def test_a_file_that_is_too_slow_lacks_the_oldest_events_and_they_are_counted(tmp_path: Path) -> None:
    output = tmp_path / "run.rrd"
    recording = EventRecording(output, "app", [])
    for number in range(510):  # never given time
        recording.add(EventDrawing(made_up_result(number), 3.0))
    assert (len(recording), recording.n_left_out) == (500, 10)
    recording.write(0.0)
    assert len(recording) == 500
    recording.complete(60.0, [])
    recording.close()
    assert _event_times(output) == list(range(10, 510))


class _Wrong:
    def draw(self, recording: Any) -> None:
        raise OverflowError("no such event")


def test_a_drawing_that_cannot_be_drawn_is_left_out_of_the_file_and_counted(tmp_path: Path) -> None:
    output = tmp_path / "run.rrd"
    recording = EventRecording(output, "app", [])
    for number in (1, 2):
        recording.add(EventDrawing(made_up_result(number), 3.0))
        recording.add(_Wrong())
    recording.add(EventDrawing(replace(made_up_result(3), id=2**64 - 1, epoch=2**32 - 1), 3.0))
    recording.write(60.0)
    recording.complete(60.0, [_Wrong()])
    recording.close()
    assert recording.n_left_out == 3
    assert _event_times(output) == [1, 2, event_time(2**32 - 1, 2**64 - 1)]


def test_a_viewer_that_is_not_there_holds_nothing_up(config: TpcConfig, publisher: ResultsPublisher) -> None:
    address = ViewerAddress("127.0.0.1", free_tcp_port())
    with _view(config, viewer=address) as view:
        publisher.wait_for_subscriber()
        for number in range(100):
            publisher.publish(made_up_result(number, number=number))
            view.step()
        view.step_until_taken(100)
        wait_until(lambda: view.step() or view.figure("replaced_total", viewer=str(address)) > 50, 20)
        assert view.figure("missed_total") == 0
        assert view.figure("shown_total", viewer=str(address)) == 0


def test_a_command_resets_the_histograms_and_chooses_pads(
    config: TpcConfig, publisher: ResultsPublisher, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, _), _view(config, viewer=address) as view:
        publisher.wait_for_subscriber()
        publisher.publish(made_up_result(1))
        view.step_until_taken(1)
        _publish_ring(config, 2)
        commanding = threading.Thread(target=send_command, args=(config, ViewCommand(reset=True, pads=(7, 8)), 20))
        commanding.start()
        wait_until(lambda: view.step() or not commanding.is_alive(), 20)
        commanding.join()

        def has_come() -> bool:
            view.step()
            recording = read_recording(saved)
            return "/waveforms/pad_7" in recording.rows and any(
                "0 events with 0 estimates" in text for text in _row_texts(recording, "/recent/tally")
            )

        wait_until(has_come, 30)
        assert "/waveforms/pad_8" not in read_recording(saved).rows


def test_a_command_without_a_view_is_told(config: TpcConfig) -> None:
    with pytest.raises(ResourceError, match=r"no view of chamber answers within 0\.1 s"):
        send_command(config, ViewCommand(reset=True), timeout_s=0.1)


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b"{}", b'{"reset": 1, "pads": null}', b'{"reset": true, "pads": [-1]}', b'{"reset": true, "pads": 3}'],
)
def test_what_is_no_command_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ViewCommand.of_message(message)


def test_commands_come_as_they_were_sent() -> None:
    for command in (ViewCommand(), ViewCommand(reset=True), ViewCommand(pads=()), ViewCommand(pads=(1, 2))):
        assert ViewCommand.of_message(command.message()) == command


def test_a_view_without_a_viewer_is_refused(config: TpcConfig) -> None:
    with pytest.raises(ConfigError, match="no viewer is given"), _view(config):
        pass


def test_a_recording_is_never_written_over(config: TpcConfig, tmp_path: Path) -> None:
    (tmp_path / "there.rrd").touch()
    with pytest.raises(ArgumentError, match="the file exists"), _view(config, output=tmp_path / "there.rrd"):
        pass


def test_a_chamber_with_a_viewer_has_a_view(config: TpcConfig, shm_dir: Path) -> None:
    assert SERVICE.instances(config) == []
    with_viewer = TpcConfig.model_validate(chamber_document(shm_dir, viewer={"url": "localhost:9876"}))
    assert [one.name for one in SERVICE.instances(with_viewer)] == ["event-view"]


def test_the_state_names_damaged_messages() -> None:
    assert state_text(None, {}, 3) == "**no event yet**\n\n- 3 messages of the analysis could not be read"


def test_what_came_before_the_first_result_is_not_missing(config: TpcConfig, publisher: ResultsPublisher) -> None:
    with ExitStack() as opened:
        source = ResultsSource(results_address(config))
        opened.callback(source.close)
        publisher.wait_for_subscriber()
        publisher.publish(made_up_result(5, number=1000, n_left_out=50))
        assert source.wait(10)
        (taken,) = source.take()
        assert (taken.n_missed, taken.n_left_out) == (0, 0)
