"""A viewer is kept at the newest state: one that is slow, one that goes away, one that is not there."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from std_daq.view3d.viewer_address import ViewerAddress
from std_daq.view3d.viewer_feed import ViewerFeed
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.rerun_recordings import read_recording, viewer_process
from std_test_kit.wait import wait_until

if TYPE_CHECKING:
    from rerun import RecordingStream


@dataclass(frozen=True, slots=True)
class Word:
    """A drawing for these tests."""

    text: str
    n_points: int = 0

    def draw(self, recording: "RecordingStream") -> None:
        import numpy as np
        import rerun as rr

        if self.text == "wrong":
            raise ValueError("this drawing is wrong")
        recording.log("words", rr.TextLog(self.text))
        if self.n_points:
            recording.log("points", rr.Points3D(np.random.default_rng(1).random((self.n_points, 3))))


@contextmanager
def _feed(address: ViewerAddress) -> Iterator[ViewerFeed]:
    feed = ViewerFeed(address, "app", [Word("first")])
    try:
        yield feed
    finally:
        begin = time.monotonic()
        feed.close()
        assert time.monotonic() - begin < 4  # 2 s on a machine that is not loaded


def _words(path: Path) -> list[str]:
    rows = read_recording(path).rows.get("/words", [])
    return [row.components["TextLog:text"][0] for row in rows]


def test_a_viewer_has_the_first_drawings_then_the_others_and_all_lines(tmp_path: Path) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, _), _feed(address) as feed:
        feed.put("event", Word("event"))
        for number in range(3):
            feed.add(Word(f"line {number}"))
        wait_until(lambda: sorted(_words(saved)) == ["event", "first", "line 0", "line 1", "line 2"], 20)
        state = feed.state()
        assert (state.is_connected, state.n_shown, state.problem) == (True, {"event": 1, "line": 3}, None)


@pytest.mark.long
def test_a_drawing_that_cannot_be_drawn_is_passed_and_the_connection_stays(tmp_path: Path) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, _), capture_logs() as told, _feed(address) as feed:
        feed.put("event", Word("wrong"))
        feed.add(Word("wrong"))
        wait_until(lambda: sum(line["event"] == "drawing_left_out" for line in told) > 0, 60)
        feed.put("table", Word("table"))
        wait_until(lambda: sorted(_words(saved)) == ["first", "table"], 60)
        state = feed.state()
        assert (state.n_connections, state.n_shown, state.problem) == (1, {"table": 1}, None)
        assert set(feed._newest) == {"table"}, "what a viewer is shown that is connected to again"


@pytest.mark.long
def test_without_a_viewer_the_newest_waits_and_the_others_are_counted(tmp_path: Path) -> None:
    saved, address = tmp_path / "saved.rrd", ViewerAddress("127.0.0.1", free_tcp_port())
    with _feed(address) as feed:
        begin = time.monotonic()
        for number in range(1000):
            feed.put("event", Word(str(number)))
            feed.add(Word("line"))
        assert time.monotonic() - begin < 1
        wait_until(lambda: "no viewer listens" in (feed.state().problem or ""), 10)
        assert not feed.state().is_connected
        assert feed.state().n_replaced == {"event": 999}
        assert feed.state().n_lost_lines == 800
        with viewer_process(saved, address.port):
            wait_until(lambda: "999" in _words(saved), 20)
            assert "998" not in _words(saved)


@pytest.mark.long
def test_a_viewer_that_hangs_is_behind_by_nothing_when_it_goes_on(tmp_path: Path) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, process), _feed(address) as feed:
        feed.put("event", Word("begin"))
        wait_until(lambda: feed.state().n_shown.get("event", 0) == 1, 20)
        process.send_signal(signal.SIGSTOP)
        number = 0
        while feed.state().n_replaced.get("event", 0) < 20:
            feed.put("event", Word(str(number), n_points=100_000))
            number += 1
            time.sleep(0.01)
        process.send_signal(signal.SIGCONT)
        feed.put("event", Word("end"))
        wait_until(lambda: "end" in _words(saved), 20)
        assert len(_words(saved)) < number + 3


@pytest.mark.long
def test_a_viewer_that_was_started_again_is_shown_everything_anew(tmp_path: Path) -> None:
    with viewer_process(tmp_path / "one.rrd") as (address, _):
        feed = ViewerFeed(address, "app", [Word("first")])
        feed.put("histogram", Word("histogram"))
        wait_until(lambda: feed.state().n_shown.get("histogram", 0) == 1, 20)
    try:
        feed.put("event", Word("event"))
        wait_until(lambda: not feed.state().is_connected, 20)
        with viewer_process(tmp_path / "two.rrd", address.port):
            wait_until(lambda: sorted(_words(tmp_path / "two.rrd")) == ["event", "first", "histogram"], 20)
            assert feed.state().n_connections == 2
    finally:
        feed.close()


@pytest.mark.long
def test_a_viewer_that_is_replaced_while_there_is_nothing_to_draw_is_shown_everything(tmp_path: Path) -> None:
    with viewer_process(tmp_path / "one.rrd") as (address, _):
        feed = ViewerFeed(address, "app", [Word("first")])
        feed.put("event", Word("event"))
        wait_until(lambda: feed.state().n_shown.get("event", 0) == 1, 20)
    try:
        with viewer_process(tmp_path / "two.rrd", address.port):
            wait_until(lambda: sorted(_words(tmp_path / "two.rrd")) == ["event", "first"], 20)
            assert feed.state().n_connections == 2
    finally:
        feed.close()


@pytest.mark.long
def test_the_end_is_not_held_up_by_a_viewer_that_hangs(tmp_path: Path) -> None:
    with viewer_process(tmp_path / "saved.rrd") as (address, process), _feed(address) as feed:
        feed.put("event", Word("one"))
        wait_until(lambda: feed.state().n_shown.get("event", 0) == 1, 20)
        process.send_signal(signal.SIGSTOP)
        for number in range(30):
            feed.put("event", Word(str(number), n_points=200_000))
            time.sleep(0.02)
