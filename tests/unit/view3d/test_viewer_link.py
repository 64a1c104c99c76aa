"""Links to real viewers, and to some that hang, die or never were one."""

import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from std_daq.errors import PortError, ResourceError
from std_daq.view3d.browser_viewer import BrowserViewer
from std_daq.view3d.recording_file import write_recording
from std_daq.view3d.viewer_address import ViewerAddress
from std_daq.view3d.viewer_link import ViewerLink, WrongDrawingError
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.rerun_recordings import read_recording, viewer_process
from std_test_kit.wait import wait_until

if TYPE_CHECKING:
    from rerun import RecordingStream


@dataclass(frozen=True, slots=True)
class Words:
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


def _words(path: Path) -> list[str]:
    rows = read_recording(path).rows.get("/words", [])
    return [row.components["TextLog:text"][0] for row in rows]


def _show_for_ever(link: ViewerLink, timeout_s: float) -> None:
    while True:  # the kernel's buffers take the first ones
        link.show(Words("more", n_points=100_000), timeout_s)


@pytest.mark.long
def test_a_viewer_has_what_was_shown_and_a_new_link_goes_on_with_it(tmp_path: Path) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, _):
        for text in ("one", "two"):
            with ViewerLink(address, "app", "recording") as link:
                link.show(Words(text), 20)
        wait_until(lambda: sorted(_words(saved)) == ["one", "two"], 10)


@pytest.mark.long
def test_a_viewer_that_hangs_is_left_in_time_and_the_end_is_not_held_up(tmp_path: Path) -> None:
    with viewer_process(tmp_path / "saved.rrd") as (address, process), ViewerLink(address, "app", "recording") as link:
        link.show(Words("one"), 20)
        process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(ResourceError, match=r"did not take a drawing within 0\.5 s"):
            _show_for_ever(link, 0.5)
        link.close()
        assert time.monotonic() - begin < 10


def test_a_viewer_that_dies_is_told() -> None:
    with viewer_process(Path("/dev/null")) as (address, process), ViewerLink(address, "app", "recording") as link:
        link.show(Words("one"), 20)
        process.kill()
        process.wait()
        with pytest.raises(ResourceError, match="is lost"):
            link.show(Words("two"), 20)


@pytest.mark.long
def test_what_is_no_viewer_holds_nobody_up() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        link = ViewerLink(ViewerAddress(*mute.getsockname()), "app", "recording")
        with pytest.raises(ResourceError, match="did not take a drawing"):
            _show_for_ever(link, 2.0)
        begin = time.monotonic()
        link.close()
        assert time.monotonic() - begin < 2


def test_a_wrong_drawing_is_told_with_its_words_and_the_next_one_is_drawn(tmp_path: Path) -> None:
    saved = tmp_path / "saved.rrd"
    with viewer_process(saved) as (address, _), ViewerLink(address, "app", "recording") as link:
        with pytest.raises(WrongDrawingError, match="ValueError: this drawing is wrong"):
            link.show(Words("wrong"), 20)
        link.show(Words("right"), 20)
        wait_until(lambda: _words(saved) == ["right"], 10)


def test_a_file_is_there_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "words.rrd"
    write_recording(path, "app", [Words("one"), Words("two")])
    assert _words(path) == ["one", "two"]
    assert read_recording(path).application == "app"
    with pytest.raises(ValueError, match="wrong"):
        write_recording(path, "app", [Words("wrong")])
    assert _words(path) == ["one", "two"]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_recording(tmp_path / "nowhere" / "words.rrd", "app", [])


def test_browsers_get_the_page_and_only_on_this_machine() -> None:
    from urllib.request import urlopen

    with BrowserViewer(port=free_tcp_port()) as viewer:
        assert viewer.url.startswith("http://127.0.0.1:")
        with urlopen(viewer.url, timeout=10) as page:
            assert b"Rerun" in page.read()
        with ViewerLink(viewer.address, "app", "recording") as link:
            link.show(Words("one"), 20)
        viewer.check()
        with pytest.raises(PortError, match="in use"):
            BrowserViewer(port=int(viewer.url.split(":")[2].split("?")[0]))
    assert not viewer.address.is_listening(0.5)


def test_browsers_get_the_name_by_which_they_reach_this_machine_whatever_it_listens_at() -> None:
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    port, data_port = free_tcp_port(), free_tcp_port()
    with BrowserViewer("daq.site.org", port, data_port=data_port, listen="127.0.0.1") as viewer:
        data = quote(f"rerun+http://daq.site.org:{data_port}/proxy", safe="")
        assert viewer.url == f"http://daq.site.org:{port}?url={data}"
        assert viewer.address == ViewerAddress("127.0.0.1", data_port)
        with urlopen(f"http://127.0.0.1:{port}", timeout=10) as page:
            assert b"Rerun" in page.read()
        # What a browser asks before it lets the page have anything from another port.
        origin = f"http://daq.site.org:{port}"
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        with urlopen(Request(f"http://127.0.0.1:{data_port}/", headers=asked, method="OPTIONS"), timeout=10) as answer:
            assert answer.headers["access-control-allow-origin"] == origin
        with pytest.raises(PortError, match=f"browsers cannot get what is drawn at 127.0.0.1:{data_port}"):
            BrowserViewer(port=free_tcp_port(), data_port=data_port)
    with pytest.raises(PortError, match=r"the page of the viewer cannot be served at nowhere\.invalid"):
        BrowserViewer("nowhere.invalid", free_tcp_port())
