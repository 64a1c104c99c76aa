"""The writer and a ring of events: merged files, events that are overwritten, and files that somebody removes."""

from collections.abc import Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from std_daq.config.paths import make_runtime_dir
from std_daq.recording.addresses import fence_path, store_address, store_reports_address
from std_daq.recording.fence import Fence
from std_daq.recording.requests import RunReport, Verdict, WriteRequest
from std_daq.recording.store_stream import (
    EndRun,
    FinishRun,
    ReportKind,
    StartRun,
    WriterReport,
    encode_entries,
    encode_run_message,
)
from std_daq.streams.queue import PullQueue, PushQueue
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.events.board_bits import boards_to_bits
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.events.paths import event_buffer_path
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.validate import validate_merged
from std_daq.tpc.pads.channel_map import ChannelMap, MappedChannel
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.recording import EVENTS
from std_h5_writer.compression import NoCompressor
from std_h5_writer.event_file_maker import EventFileMaker
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.metrics import WriterMetrics
from std_h5_writer.reporter import Reporter
from std_h5_writer.ring_reader import RingReader
from std_h5_writer.way_to_disk import WayToDisk
from std_h5_writer.writer import H5Writer
from std_test_kit.merged_files import make_traces
from std_test_kit.wait import wait_until

RUN_ID = 3
N_TRACES = 40


class Rig:
    """A writer, its ring and its agent."""

    def __init__(self, config: TpcConfig, plane: PadPlane) -> None:
        make_runtime_dir(config)
        self.ring, _ = EventBuffer.create(event_buffer_path(config), buffer_bytes=1_000_000, max_traces=100)
        self.outbox = PushQueue(store_address(config, 0), bind=True)
        self.inbox = PullQueue(store_reports_address(config), bind=True)
        self.entries = np.zeros(0, EVENTS.entry)
        self.lost: list[int] = []
        owner = FileOwner(None)
        self.writer = H5Writer(
            inbox=PullQueue(store_address(config, 0), bind=False),
            reporter=Reporter(store_reports_address(config), 0, patience_s=30.0),
            ring=RingReader(partial(EventBuffer.attach, event_buffer_path(config)), attrgetter("traces")),
            recorded=EVENTS,
            compressor=NoCompressor(),
            files=EventFileMaker(config, plane, owner),
            owner=owner,
            way_to_disk=WayToDisk(is_direct=True),
            fence=Fence(fence_path(config, 0)),
            metrics=WriterMetrics(CollectorRegistry(), "h5-writer-0"),
            flush_interval_s=0.05,
        )

    def publish(self, event_id: int, missing: tuple[tuple[int, int], ...] = ()) -> None:
        """Publish an event, and keep the entry that names it."""
        self.ring.begin_event(N_TRACES)[:] = make_traces(event_id, N_TRACES)
        entry = self.ring.publish(
            event_id=event_id,
            epoch=2,
            n_traces=N_TRACES,
            timestamp=1000 + event_id,
            timestamp_other=0,
            n_boards=3,
            missing_bits=boards_to_bits(missing),
            first_arrival_ns=1,
            built_ns=2,
        )
        named = np.zeros(1, EVENTS.entry)
        named["metadata"], named["run_id"], named["i_image"] = entry, RUN_ID, len(self.entries)
        self.entries = np.concatenate((self.entries, named))

    def start(self, file: Path, **request: object) -> None:
        wanted = WriteRequest(output_file=str(file), **request)  # type: ignore[arg-type]
        start = StartRun(run_id=RUN_ID, request_id="1", request=wanted, output_file=str(file), images_per_file=None)
        self.send(encode_run_message(start))

    def name_events(self) -> None:
        self.send(*encode_entries(self.entries))

    def send(self, *messages: bytes) -> None:
        for message in messages:
            wait_until(lambda message=message: self.outbox.push(message), 10)  # the writer connects in the background

    def end(self, verdict: Verdict = Verdict.COMPLETE) -> WriterReport:
        """End the run; returns the report of the drained writer."""
        self.send(encode_run_message(EndRun(run_id=RUN_ID, n_sent=len(self.entries))))
        drained = self.step_until(ReportKind.DRAINED)
        report = RunReport(
            request_id="1",
            verdict=verdict,
            n_written=drained.n_written,
            n_incomplete=drained.n_incomplete,
            n_lost=len(self.lost),
            lost_image_ids=tuple(self.lost),
        )
        self.send(encode_run_message(FinishRun(run_id=RUN_ID, report=report)))
        self.step_until(ReportKind.FINISHED)
        return drained

    def step_until(self, kind: ReportKind) -> WriterReport:
        for _ in range(300):
            self.writer.step()
            while (message := self.inbox.pull()) is not None:
                report = WriterReport.model_validate_json(message)
                self.lost += report.lost_image_ids
                if report.kind == kind:
                    return report
        raise AssertionError(f"no report {kind}")

    def close(self) -> None:
        self.writer.close()
        self.outbox.close()
        self.inbox.close()
        self.ring.close()


@pytest.fixture
def config(shm_dir: Path, runtime: Path) -> TpcConfig:
    return TpcConfig.model_validate(
        {
            "detector_name": "chamber",
            "detector_type": "get-tpc",
            "exporters": ["127.0.0.1:1"],
            "pads": {},
            "boards": "topology",
            "shared_memory": {"directory": str(shm_dir)},
        }
    )


@pytest.fixture
def rig(config: TpcConfig) -> Iterator[Rig]:
    # Channels 0 to 2 of the first chip are strips of two silicon detectors.
    strips = [MappedChannel(0, 0, 0, channel, 1 + channel // 2, channel) for channel in range(3)]
    one = Rig(config, PadPlane(channel_map=ChannelMap.of(strips)))
    yield one
    one.close()


def test_events_of_the_ring_are_written_with_their_times_and_boards(rig: Rig, tmp_path: Path) -> None:
    for event_id in range(5):
        rig.publish(event_id, ((3, 1), (3, 2)) if event_id == 2 else ())
    rig.start(tmp_path / "f.h5", n_images=5)
    rig.name_events()
    drained = rig.end(Verdict.INCOMPLETE)
    assert (drained.n_written, drained.n_flushed, drained.n_incomplete) == (5, 5, 1)
    assert drained.faults["missing_boards"].boards == ((3, 1), (3, 2))
    assert validate_merged(tmp_path / "f.h5").is_valid
    with MergedFile(tmp_path / "f.h5") as file:
        for event in file:
            assert (event.id, event.epoch, event.timestamp) == (event.n, 2, 1000 + event.n)
            np.testing.assert_array_equal(event.traces, make_traces(event.n, N_TRACES))


def test_layout_2_divides_the_rows_by_the_channel_map(rig: Rig, tmp_path: Path) -> None:
    rig.publish(0)
    rig.start(tmp_path / "f.h5", layout="2.0")
    rig.name_events()
    rig.end()
    traces = make_traces(0, N_TRACES)
    with MergedFile(tmp_path / "f.h5") as file:
        event = file.read(0)
        np.testing.assert_array_equal(event.traces, traces[3:])
        np.testing.assert_array_equal(event.silicon["si_upstream_front"], traces[:2])
        np.testing.assert_array_equal(event.silicon["si_upstream_back"], traces[2:3])
        assert len(event.silicon["si_downstream_front"]) == 0


def test_an_event_that_is_overwritten_is_lost_by_its_id_and_in_no_file(rig: Rig, tmp_path: Path) -> None:
    n_events = 0
    while rig.ring.last_overwritten < 2:
        rig.publish(n_events)
        n_events += 1
    n_gone = rig.ring.last_overwritten + 1
    rig.start(tmp_path / "f.h5")
    rig.name_events()
    drained = rig.end(Verdict.INCOMPLETE)
    assert rig.lost == list(range(n_gone))
    assert drained.n_written == n_events - n_gone
    with MergedFile(tmp_path / "f.h5") as file:
        assert [event.id for event in file] == list(range(n_gone, n_events))


def test_the_events_of_a_file_that_was_removed_are_lost(rig: Rig, tmp_path: Path) -> None:
    for event_id in range(3):
        rig.publish(event_id)
    rig.start(tmp_path / "f.h5")
    rig.name_events()
    while rig.writer.why_not_ready is None and not (tmp_path / "f.h5").exists():
        rig.writer.step()
    (tmp_path / "f.h5").unlink()
    drained = rig.end(Verdict.FAILED)
    assert (drained.n_written, sorted(rig.lost)) == (0, [0, 1, 2])
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_fails_the_run_and_keeps_the_file(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f.h5").write_text("mine")
    rig.publish(0)
    rig.start(tmp_path / "f.h5")
    rig.name_events()
    assert "exists" in rig.step_until(ReportKind.FAILED).message
    rig.end(Verdict.FAILED)
    assert rig.lost == [0]
    assert (tmp_path / "f.h5").read_text() == "mine"
