"""A run of a chamber, recorded as GRAW and merged files, and sent again: the same events, and the same account."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.client.scrape import Scrape, scrape
from std_daq.tpc.merged.event import MergedEvent
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.merged.validate import validate_merged
from std_daq.tpc.pads.channel_map import write_channel_map
from std_daq.tpc.simulation.invented_map import invented_map
from std_test_kit.beamline import Beamline
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.wait import wait_until

BOARDS = [(0, 0), (0, 3), (1, 2)]
N_EVENTS, RESTART_AT = 30, 18
N_FRAMES = N_EVENTS * len(BOARDS)
SIMULATE = ("simulate", "--rate-hz", "100", "--n-made", "4", "--n-events", str(N_EVENTS))
REPLAY = ("replay", "--rate-hz", "100", "--json")
USED, TOPOLOGY = "used", "topology"


@pytest.fixture
def line(tmp_path: Path, shm_dir: Path, runtime: Path, broker_url: str, tag: str) -> Iterator[Beamline]:
    write_channel_map(tmp_path / "map.csv", invented_map(BOARDS, 10240))
    document = {
        "detector_name": tag,
        "detector_type": "get-tpc",
        "exporters": [f"127.0.0.1:{free_tcp_port()}", f"127.0.0.1:{free_tcp_port()}"],
        "pads": {"electronics": "map.csv"},
        "builder": {"ram_buffer_gb": 0.1, "keep_frames": True},
        "shared_memory": {"directory": str(shm_dir)},
        "writer": {"output_roots": [str(tmp_path)], "image_timeout_s": 10.0, "min_free_gb": 0},
    }
    with Beamline(tmp_path, broker_url, document, "tpc.json") as one:
        yield one


class Account:
    """What the builder has counted since a moment."""

    def __init__(self, line: Beamline) -> None:
        self._line = line
        self._before = self._now()

    def outcomes(self) -> dict[str, int]:
        """Return the frames by what became of them, without zeros."""
        now = self._now()
        return {outcome: n for outcome in now if (n := int(now[outcome] - self._before[outcome]))}

    @property
    def n_waiting(self) -> float:
        """Events that wait for a board."""
        return self._scrape().total("daq_builder_events_waiting")

    def _now(self) -> dict[str, float]:
        return self._scrape().by_label("daq_builder_frames_total", "outcome")

    def _scrape(self) -> Scrape:
        return scrape(self._line.record_of("event-builder").socket)


def recorded(line: Beamline, file: Path, send: tuple[str, ...], *write: str) -> tuple[int, dict[str, Any]]:
    return line.record(file, ("--n-events", str(N_EVENTS), *write), send)


def events_of(file: Path) -> list[MergedEvent]:
    """Return the events of a file, run after run; they may come one in another."""
    assert validate_merged(file).is_valid
    with MergedFile(file) as merged:
        return sorted(merged, key=lambda event: (event.epoch, event.id))


def assert_same(events: list[MergedEvent], expected: list[MergedEvent]) -> None:
    """Compare two recordings of one run; epochs are counted from the first of each."""
    for one, other in zip(events, expected, strict=True):
        assert (one.id, (one.epoch or 0) - (events[0].epoch or 0)) == (
            other.id,
            (other.epoch or 0) - (expected[0].epoch or 0),
        )
        assert (one.timestamp, one.timestamp_other) == (other.timestamp, other.timestamp_other)
        np.testing.assert_array_equal(one.traces, other.traces)


@pytest.mark.long
def test_recorded_frames_of_two_runs_give_the_same_events_and_the_same_account_again(
    line: Beamline, tmp_path: Path
) -> None:
    account = Account(line)
    # Boards of which one is behind, and frames that come twice, whose second one is in no file.
    faults = ("--restart-at", str(RESTART_AT), "--lag", "1=3", "--duplicate", "0.2")
    exit_code, report = recorded(line, tmp_path / "first.h5", (*SIMULATE, *faults), "--format", "hdf5+graw")
    assert (exit_code, report["n_written"], report["n_incomplete"]) == (0, N_EVENTS, 0), report
    outcomes = account.outcomes()
    assert outcomes[USED] == N_FRAMES
    assert set(outcomes) == {USED, TOPOLOGY, "duplicate"}
    first = events_of(tmp_path / "first.h5")
    assert [event.id for event in first] == [*range(RESTART_AT), *range(N_EVENTS - RESTART_AT)]

    frames = sorted(map(str, (tmp_path / "first_graw").glob("*.graw")))
    assert len(frames) == len(BOARDS)
    account = Account(line)
    exit_code, report = recorded(line, tmp_path / "again.h5", (*REPLAY, *frames), "--format", "hdf5+graw")
    assert (exit_code, report["verdict"], report["n_lost"]) == (0, "complete", 0), report
    assert account.outcomes() == {USED: N_FRAMES}
    again = events_of(tmp_path / "again.h5")
    assert (again[0].epoch or 0) > (first[-1].epoch or 0)
    assert_same(again, first)
    # The frames of the second recording are those of the first, byte for byte.
    for board in BOARDS:
        (one,), (other,) = (
            (tmp_path / folder).glob("CoBo{}_AsAd{}_*.graw".format(*board)) for folder in ("first_graw", "again_graw")
        )
        assert one.read_bytes() == other.read_bytes()

    # A merged file has no frames, but the same events.
    exit_code, report = recorded(line, tmp_path / "merged.h5", (*REPLAY, str(tmp_path / "first.h5")))
    assert (exit_code, report["verdict"]) == (0, "complete"), report
    assert_same(events_of(tmp_path / "merged.h5"), first)

    # The last frame of a board is cut off, because a disk was full; then all frames of that board are away.
    last = frames.pop()
    whole = Path(last).read_bytes()
    Path(last).write_bytes(whole[:-100])
    account = Account(line)
    exit_code, out, _ = line.run(*REPLAY, *frames, last)
    assert (exit_code, json.loads(out)["n_damaged"]) == (1, 1)
    wait_until(lambda: account.outcomes() == {USED: N_FRAMES - 1}, 20, lambda: str(account.outcomes()))
    wait_until(lambda: account.n_waiting == 0, 20)  # the last event has waited for its board
    exit_code, report = recorded(line, tmp_path / "without.h5", (*REPLAY, *frames))
    assert (exit_code, report["verdict"]) == (3, "incomplete"), report
    assert (report["n_written"], report["n_incomplete"], report["n_lost"]) == (N_EVENTS, N_EVENTS, 0)
    assert "board [1, 2]" in report["reason"]
    assert [event.id for event in events_of(tmp_path / "without.h5")] == [event.id for event in first]
