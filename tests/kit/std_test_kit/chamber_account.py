"""What a chamber must be able to account for: its ring of events, its files and its results, each read by itself."""

import json
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from std_daq.recording.requests import RunReport, StatusMessage, Verdict, WriteRequest
from std_daq.recording.status_channel import StatusListener
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.events.event_reader import EventReader
from std_daq.tpc.frames.graw import read_graw
from std_daq.tpc.frames.recorded_graw import index_path
from std_daq.tpc.merged.event_log import log_path
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.recover import recover_merged
from std_daq.tpc.merged.validate import validate_merged
from std_daq.tpc.reconstruction.results import results_address
from std_daq.tpc.view.results_source import ResultsSource
from std_test_kit.live_exporters import LiveExporters, boards_in
from std_test_kit.tpc_exporters import rows_of

Key = tuple[int, int]
"""Epoch and id of an event."""


class Follower(threading.Thread, ABC):
    """A thread that calls `step` until it is told to end, and tells at its end what went wrong."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._is_ending = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Follow."""
        try:
            while not self._is_ending.is_set():
                self.step()
            self.step()
        except BaseException as error:  # noqa: BLE001 - told to the test
            self._error = error

    @abstractmethod
    def step(self) -> None:
        """Take what there is, and wait a short time."""

    def check(self) -> None:
        """Raise what has ended the thread."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """End the thread."""
        self._is_ending.set()
        if self.ident is not None:
            self.join()


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event of the ring, and the run whose samples it holds."""

    key: Key
    run: int
    present: tuple[tuple[int, int], ...]


class RingAccount(Follower):
    """Reads every event of the ring, and checks that it holds the frames of its boards in one run, and comes once.

    Attributes
    ----------
    events
        All events, by sequence number.
    """

    def __init__(self, config: TpcConfig, exporters: LiveExporters) -> None:
        super().__init__("ring account")
        self._reader = EventReader(config, start="oldest")
        self._exporters = exporters
        self._last: dict[int, int] = {}
        self._run_of: dict[int, int] = {}
        self._n_lost: int | None = None
        self.events: dict[int, SeenEvent] = {}

    def step(self) -> None:
        """Take the events that there are."""
        event = self._reader.next(0.05)
        while event is not None:
            assert event.id > self._last.get(event.epoch, -1), f"{event!r} comes after {self._last}"
            self._last[event.epoch] = event.id
            likely = self._run_of.get(event.epoch, self._exporters.run)
            self._run_of[event.epoch] = run = self._exporters.run_of(event, likely)
            self.events[event.sequence] = SeenEvent((event.epoch, event.id), run, boards_in(event))
            event = self._reader.next(0)

    def end(self) -> None:
        """End the thread, and release the ring."""
        super().end()
        if self._n_lost is None:
            self._n_lost = self._reader.lost.n
        self._reader.close()

    def finish(self) -> None:
        """Release the ring, and check that every event was read."""
        self.end()
        self.check()
        assert self._n_lost == 0, f"the account itself lost {self._n_lost} events"
        assert sorted(self.events) == list(range(len(self.events))), "sequence numbers have gaps"


class ResultsAccount(Follower):
    """Takes the results of the analysis as the event view does.

    Attributes
    ----------
    n_of
        How many results came of each event, by its sequence number.
    n_left_out, n_missed
        Events that were not analysed, and results that did not come, as the results say.
    """

    def __init__(self, config: TpcConfig) -> None:
        super().__init__("results account")
        self._source = ResultsSource(results_address(config))
        self.n_of: dict[int, int] = {}
        self.n_left_out = self.n_missed = 0

    def step(self) -> None:
        """Take the results that there are."""
        self._source.wait(0.05)
        for taken in self._source.take():
            sequence = taken.result.sequence
            self.n_of[sequence] = self.n_of.get(sequence, 0) + 1
            self.n_left_out += taken.n_left_out
            self.n_missed += taken.n_missed

    def end(self) -> None:
        """End the thread, and release the socket."""
        super().end()
        self._source.close()

    def finish(self) -> None:
        """Release the socket, and raise what has ended the thread."""
        self.end()
        self.check()

    def describe(self, n_events: int) -> str:
        """Return the account in words."""
        return f"{len(self.n_of)} results, {self.n_left_out} left out, {self.n_missed} missed of {n_events} events"

    def adds_up(self, n_events: int) -> bool:
        """Return whether every event has one result, or is counted."""
        has_doubles = any(n > 1 for n in self.n_of.values())
        return not has_doubles and len(self.n_of) + self.n_left_out + self.n_missed == n_events


class EndAccount(Follower):
    """Hears the statuses of requests, and keeps those that end one.

    Attributes
    ----------
    ends
        By the id of the request.
    """

    def __init__(self, broker_url: str) -> None:
        super().__init__("end account")
        self.listener = StatusListener(broker_url, publishes=True)
        self.listener.__enter__()
        self.listener.connection.wait_connected(20.0)
        self.ends: dict[str, list[StatusMessage]] = {}

    def step(self) -> None:
        """Take what has come."""
        status = self.listener.receive(0.1)
        while status is not None:
            if status.action.is_final:
                self.ends.setdefault(status.request_id, []).append(status)
            status = self.listener.receive(0)

    def finish(self) -> None:
        """Close the connection."""
        self.end()
        self.listener.__exit__(None, None, None)
        self.check()

    def report(self, request_id: str) -> RunReport:
        """Return the only report of a request; the same message may have been told twice."""
        ends = self.ends[request_id]
        assert all(end.report == ends[0].report for end in ends), f"{request_id} has several ends: {ends}"
        report = ends[0].report
        assert report is not None
        return report


def check_run(request: WriteRequest, report: RunReport, events: dict[int, SeenEvent]) -> None:
    """Check that the files of a request hold what its report says, and that nothing between is lost without a word."""
    where = f"{request.output_file}: {report}"
    path = Path(request.output_file)
    by_key = {seen.key: sequence for sequence, seen in events.items()}
    keys: list[Key] = []
    if "hdf5" in request.format:
        keys = _merged_keys(path, report, by_key, events)
    if "graw" in request.format and report.verdict is not Verdict.FAILED:
        _check_graw(path, request, report, events)
    if "hdf5" in request.format:
        # A file was not closed, because the writer was killed. If that is the merged one, nobody knows what is in it,
        # and the report says to recover it; if it is a GRAW file, events count that are in both.
        is_known = f"std-daq recover {path.with_suffix('')}" not in report.reason
        assert len(keys) >= report.n_written, f"{len(keys)} events are in the file; {where}"
        assert len(keys) == report.n_written or not is_known, f"{len(keys)} events are in the file; {where}"
    if not keys:
        return
    sequences = sorted(by_key[key] for key in keys)
    assert len(set(sequences)) == len(sequences), where
    lost = set(report.lost_image_ids)
    between = set(range(sequences[0], sequences[-1] + 1)).difference(sequences)
    silent = [events[sequence] for sequence in sorted(between) if events[sequence].key[1] not in lost]
    assert not silent, f"{len(silent)} events are in no file and not named, first {silent[0]}; {where}"
    if report.verdict is Verdict.COMPLETE:
        assert (len(keys), report.n_lost, report.n_incomplete) == (request.n_images, 0, 0), where


def _merged_keys(path: Path, report: RunReport, by_key: dict[Key, int], events: dict[int, SeenEvent]) -> list[Key]:
    """Return the events of a merged file, which is repaired first if its writer was killed."""
    if not path.exists():
        return []
    if log_path(path).exists():
        assert report.verdict is Verdict.FAILED, report
        recover_merged(path)
    checked = validate_merged(path)
    assert checked.is_valid, checked.problems
    keys = []
    with MergedFile(path) as merged:
        for event in merged:
            key = (int(event.epoch or 0), int(event.id or 0))
            seen = events[by_key[key]]
            missing = [] if event.missing_boards is None else event.missing_boards.tolist()
            assert not {tuple(board) for board in missing} & set(seen.present), (path, key)
            assert (event.traces == rows_of(key[1], seen.present, seen.run)).all(), (path, key)
            keys.append(key)
    return keys


def _check_graw(path: Path, request: WriteRequest, report: RunReport, events: dict[int, SeenEvent]) -> None:
    if not report.n_written:
        return
    index = json.loads(index_path(path, request.format).read_text())
    for one in index["boards"]:
        frames = [frame for name in one["files"] for frame in read_graw(path.parent / name).frames]
        assert len(frames) == one["n_frames"], (path, one)
    assert max(one["n_frames"] + one["n_missing"] for one in index["boards"]) == report.n_written, (path, index)
    assert len(events) >= report.n_written
