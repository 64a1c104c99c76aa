"""Events of a chamber, recorded by request: exporters, builder, ring, broker, agent and writer as users run them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.recording.status_channel import StatusListener
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.events.paths import event_buffer_path
from std_daq.tpc.frames.graw import read_graw
from std_daq.tpc.merged.event_log import log_path, read_log
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.validate import validate_merged
from std_test_kit.beamline import Beamline, Command, wait_accepted, wait_written
from std_test_kit.tpc_exporters import ScriptedExporter, frame_of, message_of, rows_of
from std_test_kit.wait import wait_until

IMAGE_WORD = re.compile(r"(?<![\w-])images?(?![\w-])", re.IGNORECASE)
BOARDS = [(0, 0), (0, 1), (3, 2)]


class Chamber:
    """The services of a chamber, and its exporter."""

    def __init__(self, line: Beamline, exporter: ScriptedExporter) -> None:
        self.line = line
        self.exporter = exporter

    def connect(self) -> None:
        """Wait until the builder is there."""
        wait_until(lambda: self.exporter.accept() > 0, 20)

    def wait_for_events(self, n_events: int) -> None:
        """Wait until the builder has given out so many events."""
        ring = EventBuffer.attach(event_buffer_path(self.line.config))
        wait_until(lambda: ring.journal.next_sequence >= n_events, 20)
        ring.close()

    def send(self, *ids: int, run: int = 0, boards: list[tuple[int, int]] = BOARDS) -> None:
        """Send the frames of events."""
        for event_id in ids:
            for board in boards:
                self.exporter.send(message_of(event_id, board, run))

    def record(self, file: Path, send: Callable[[], None], *arguments: str) -> tuple[int, dict[str, Any]]:
        """Have a file written while `send` sends; returns the exit code and the report."""
        with StatusListener(self.line.broker_url) as listener:
            listener.connection.wait_connected(10.0)
            with self.line.write(file, *arguments) as writing:
                wait_accepted(listener, file)
                send()
                exit_code, out, err = writing.finish(60)
        assert out, err
        return exit_code, json.loads(out)


@pytest.fixture
def chamber(tmp_path: Path, shm_dir: Path, runtime: Path, broker_url: str, tag: str) -> Iterator[Chamber]:
    exporter = ScriptedExporter()
    document = {
        "detector_name": tag,
        "detector_type": "get-tpc",
        "exporters": [exporter.address],
        "pads": {},
        "boards": BOARDS,
        "builder": {"time_limit_s": 0.3, "ram_buffer_gb": 0.05, "keep_frames": True},
        "shared_memory": {"directory": str(shm_dir)},
        "writer": {"output_roots": [str(tmp_path)], "image_timeout_s": 3.0, "min_free_gb": 0},
    }
    try:
        with Beamline(tmp_path, broker_url, document, "tpc.json") as line:
            one = Chamber(line, exporter)
            one.connect()
            yield one
    finally:
        exporter.close()


def n_logged(file: Path) -> int:
    """Return how many events are in the event log of a file."""
    return len([*read_log(log_path(file))[1]]) if log_path(file).exists() else 0


@contextmanager
def opened(file: Path) -> Iterator[MergedFile]:
    report = validate_merged(file)
    assert report.is_valid, report.problems
    with MergedFile(file) as merged:
        yield merged


@pytest.mark.long
def test_events_are_recorded_from_the_next_one_on_as_they_were_sent(chamber: Chamber, tmp_path: Path) -> None:
    chamber.send(*range(5))
    chamber.wait_for_events(5)
    file = tmp_path / "run.h5"
    exit_code, report = chamber.record(file, lambda: chamber.send(*range(5, 40)), "--n-events", "30")
    assert (exit_code, report["verdict"]) == (0, "complete"), report
    assert (report["n_written"], report["n_incomplete"], report["n_lost"]) == (30, 0, 0)
    with opened(file) as merged:
        assert (merged.version, merged.attributes["max_event"]) == ("libattpc_merger:1.0", 29)
        for event in merged:
            assert (event.id, event.epoch, event.is_complete) == (5 + event.n, 0, True)
            np.testing.assert_array_equal(event.traces, rows_of(5 + event.n, BOARDS))

    # Boards that are missing, an event of which no board sends anything, a new run, and layout 2.0.
    def send() -> None:
        chamber.send(100)
        chamber.send(101, boards=BOARDS[:2])
        chamber.send(103)
        chamber.send(0, 1, run=1)

    file = tmp_path / "faults.h5"
    exit_code, report = chamber.record(file, send, "--n-events", "6", "--start-event-id", "100", "--layout", "2.0")
    assert (exit_code, report["verdict"]) == (3, "incomplete"), report
    assert (report["n_written"], report["n_incomplete"], report["n_lost"]) == (5, 1, 1)
    assert report["lost_image_ids"] == [102]
    assert "1 event lost" in report["reason"]
    assert "1 event with missing boards (board [3, 2])" in report["reason"]
    with opened(file) as merged:
        by_id = {(event.epoch, event.id): event for event in merged}  # the runs may come one in another
        assert [key for key in by_id if key[0] == 0] == [(0, 100), (0, 101), (0, 103)]
        assert [key for key in by_id if key[0] == 1] == [(1, 0), (1, 1)]
        missed = by_id[0, 101].missing_boards
        assert missed is not None
        assert missed.tolist() == [[3, 2]]
        np.testing.assert_array_equal(by_id[0, 101].traces, rows_of(101, BOARDS[:2]))
        np.testing.assert_array_equal(by_id[1, 1].traces, rows_of(1, BOARDS, run=1))
        assert merged.attributes["incomplete_events"].tolist() == [by_id[0, 101].n]

    # A run until it is killed.
    chamber.wait_for_events(45)
    file = tmp_path / "killed.h5"
    with StatusListener(chamber.line.broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with chamber.line.write(file, "--image-timeout-s", "60") as writing:
            request_id = wait_accepted(listener, file)
            chamber.send(*range(2, 9), run=1)
            while (status := listener.receive(5)) is not None and status.details.get("n_written") != 7:
                pass
            assert chamber.line.run("kill", request_id)[0] == 0
            exit_code, out, err = writing.finish()
    assert (exit_code, json.loads(out)["n_written"]) == (4, 7), err
    with opened(file) as merged:
        assert [event.id for event in merged] == list(range(2, 9))

    # What a chamber cannot write is refused with the reason.
    for arguments, reason in (
        (("--images-per-file", "3"), "a merged file has all events of its run"),
        (("--compression", "bslz4"), "without compression only"),
        (("--format", "pff"), "a chamber writes hdf5"),
    ):
        exit_code, out, err = chamber.line.write(tmp_path / "no.h5", "--n-events", "2", *arguments).finish()
        assert (exit_code, json.loads(out)["verdict"]) == (6, "refused"), err
        assert reason in json.loads(out)["reason"]

    # A file that is there is told, and no text that came of all this says that images are recorded.
    exit_code, out, err = chamber.line.write(file, "--n-events", "2").finish()
    assert exit_code == 6, err
    texts = [json.loads(out)["reason"], report["reason"]]
    assert texts[0] == f"{file} exists, and is never overwritten"
    texts.append(Command("validate", str(tmp_path / "faults.h5")).finish()[1])
    exit_code, out, err = chamber.line.run("status", "--once")
    assert exit_code == 0, err
    texts += [out, err, *chamber.line.log.splitlines()]
    said = [text for text in texts if IMAGE_WORD.search(text)]
    assert not said, said


@pytest.mark.long
def test_the_file_of_a_killed_writer_is_recovered_with_what_the_report_counts(chamber: Chamber, tmp_path: Path) -> None:
    file = tmp_path / "run.h5"

    with StatusListener(chamber.line.broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with chamber.line.write(file, "--n-events", "1000", "--image-timeout-s", "60") as writing:
            request_id = wait_accepted(listener, file)
            chamber.send(*range(10))
            wait_until(lambda: n_logged(file) == 10, 20, lambda: f"{n_logged(file)} events are in the log")
            for _ in range(3):  # one each second; meanwhile the writer tells the agent what is safe
                wait_written(listener, request_id, 10)
            chamber.line.kill("h5-writer-0")
            exit_code, out, err = writing.finish()
    report = json.loads(out)
    assert (exit_code, report["verdict"]) == (5, "failed"), err
    assert f"std-daq recover {file}" in report["reason"]
    assert (report["n_written"], report["n_lost"]) == (10, 0)
    assert Command("validate", str(file)).finish()[0] == 1
    exit_code, out, err = Command("recover", str(file)).finish()
    assert (exit_code, "10 events" in out) == (0, True), err
    with opened(file) as merged:
        assert merged.numbers == list(range(10))
        for event in merged:
            np.testing.assert_array_equal(event.traces, rows_of(event.n, BOARDS))


def frames_in(folder: Path) -> dict[tuple[int, int], list[bytes]]:
    """Return the frames in the GRAW files of a folder by board, each in the order of its files."""
    frames: dict[tuple[int, int], list[bytes]] = {}
    for file in sorted(folder.glob("CoBo*_AsAd*_????.graw")):
        content = read_graw(file)
        assert content.damaged == []
        for frame in content.frames:
            frames.setdefault(frame.board, []).append(frame.data.tobytes())
    return frames


@pytest.mark.long
def test_raw_frames_are_recorded_by_request_alone_and_with_the_merged_file(chamber: Chamber, tmp_path: Path) -> None:
    index = tmp_path / "raw.json"

    def send() -> None:
        chamber.send(*range(4))
        chamber.send(4, boards=BOARDS[:2])
        chamber.send(6)

    exit_code, report = chamber.record(
        index, send, "--n-events", "7", "--start-event-id", "0", "--format", "graw", "--image-timeout-s", "2"
    )
    assert (exit_code, report["verdict"]) == (3, "incomplete"), report
    assert (report["n_written"], report["n_incomplete"], report["n_lost"]) == (6, 1, 1)
    assert "1 event with missing boards (board [3, 2])" in report["reason"]
    there = {board: [frame_of(i, board) for i in (0, 1, 2, 3, 4, 6) if (i, board) != (4, (3, 2))] for board in BOARDS}
    assert frames_in(tmp_path / "raw_graw") == there
    boards = json.loads(index.read_text())["boards"]
    assert [(tuple(one["board"]), one["n_frames"], one["n_missing"]) for one in boards] == [
        ((0, 0), 6, 0),
        ((0, 1), 6, 0),
        ((3, 2), 5, 1),
    ]
    files = [str(tmp_path / name) for one in boards for name in one["files"]]
    assert report["files"] == [str(index), *files]
    for checked in (index, files[0]):
        exit_code, out, err = Command("validate", str(checked)).finish()
        assert exit_code == 0, (out, err)

    file = tmp_path / "both.h5"
    exit_code, report = chamber.record(
        file, lambda: chamber.send(*range(7, 20)), "--n-events", "10", "--start-event-id", "7", "--format", "hdf5+graw"
    )
    assert (exit_code, report["verdict"], report["n_written"]) == (0, "complete", 10), report
    with opened(file) as merged:
        for event in merged:
            np.testing.assert_array_equal(event.traces, rows_of(7 + event.n, BOARDS))
    assert frames_in(tmp_path / "both_graw") == {board: [frame_of(i, board) for i in range(7, 17)] for board in BOARDS}
    assert json.loads((tmp_path / "both.h5.graw.json").read_text())["report"]["verdict"] == "complete"

    # The recorded frames give the same events again.
    raw = sorted(map(str, (tmp_path / "both_graw").glob("*.graw")))
    clouds = []
    config = tmp_path / "again.json"
    document = json.loads(chamber.line.config_file.read_text()) | {"pads": {"geometry": "attpc"}}
    config.write_text(json.dumps(document))
    for name, sources in (("a.h5", raw), ("b.h5", [str(file)])):
        output = tmp_path / name
        exit_code, out, err = Command(
            "analyse", *sources, "--config", str(config), "--output", str(output), "--workers", "1"
        ).finish(120)
        assert exit_code == 0, (out, err)
        with h5py.File(output) as result:
            clouds.append([result[f"clouds/event_{n}"][()] for n in range(10)])
    for from_raw, from_merged in zip(*clouds, strict=True):
        np.testing.assert_array_equal(from_raw, from_merged)


@pytest.mark.long
def test_frames_of_removed_files_are_lost_and_told(chamber: Chamber, tmp_path: Path) -> None:
    index = tmp_path / "raw.json"

    def send() -> None:
        chamber.send(*range(5))
        wait_until(lambda: len(list((tmp_path / "raw_graw").glob("*.graw"))) == len(BOARDS), 20)
        next((tmp_path / "raw_graw").glob("CoBo3*")).unlink()
        chamber.send(*range(5, 10))

    exit_code, report = chamber.record(index, send, "--n-events", "10", "--format", "graw")
    assert (exit_code, report["verdict"]) == (5, "failed"), report
    assert (report["n_written"], report["n_lost"]) == (0, 10)
    assert "GRAW files or their index were removed" in report["reason"]
