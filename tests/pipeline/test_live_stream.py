"""The live stream with real sockets and a real ring."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zmq
from prometheus_client import CollectorRegistry

from std_daq.cli.__main__ import main
from std_daq.config.paths import make_runtime_dir
from std_daq.errors import ConfigError, PortError, SharedMemoryError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.protocols.array_stream import ArrayImage, decode
from std_daq.streams.zmq_places import MAX_PEERS
from std_live_stream.__main__ import start
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.services import service_context
from std_test_kit.store_driver import RingPublisher, pixels_of
from std_test_kit.zmtp import connect_zmtp

FORWARD = {"type": "forward", "config": []}
SHAPE = (64, 128)


class Viewer:
    """Somebody who looks at a stream."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, queue: int = 1000) -> None:
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, queue)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.subscribe(b"")
        self._socket.connect(address)

    def take(self, timeout_s: float = 10.0) -> ArrayImage:
        """Return the next image."""
        assert self._socket.poll(int(timeout_s * 1000)), "no image came"
        image = decode(self._socket.recv_multipart())
        assert np.array_equal(image.pixels, pixels_of(image.frame, image.pixels.shape, image.pixels.dtype))
        return image

    def take_all(self, last: int) -> list[int]:
        """Return the ids of what comes, until that of the last image."""
        ids = [self.take().frame]
        while ids[-1] != last:
            ids.append(self.take().frame)
        return ids

    def take_waiting(self, timeout_ms: int = 200) -> list[int]:
        """Return the ids of what comes within a short time."""
        ids = []
        while self._socket.poll(timeout_ms):
            ids.append(self.take().frame)
        return ids

    def leave(self) -> None:
        self._socket.close(linger=0)


class RawViewer:
    """A subscriber (ZMTP 3.0) that says what no ZMQ library would."""

    def __init__(self, address: str) -> None:
        self._socket = connect_zmtp(address, b"SUB")

    def send(self, message: bytes) -> None:
        """Send a message of one part."""
        self._socket.sendall(b"\x02" + len(message).to_bytes(8, "big") + message)

    def is_disconnected(self) -> bool:
        """Wait until the other side ends the connection."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._socket.close()


class Line:
    """A ring, the service, and those who look."""

    def __init__(self, shm_dir: Path, streams: dict[str, Any], **ring: Any) -> None:
        self.config = parse_config(
            {
                "detector_name": "live",
                "detector_type": "jungfrau",
                "n_modules": 2,
                "bit_depth": 16,
                "image_pixel_height": 1024,
                "image_pixel_width": 1024,
                "module_positions": {"0": [0, 0, 1023, 511], "1": [0, 512, 1023, 1023]},
                "start_udp_port": 50000,
                "shared_memory": {"directory": str(shm_dir)},
                "live_stream_configs": streams,
            }
        )
        make_runtime_dir(self.config)
        self._ring = ring
        self.registry = CollectorRegistry()
        self.stream = start(replace(service_context(self.config), registry=self.registry))
        self.publisher = RingPublisher(image_buffer_path(self.config), **ring)
        while not self.stream.is_ready:
            self.stream.step()
        self._context = zmq.Context()

    def look(self, output: int = 0, queue: int = 1000) -> Viewer:
        """Have somebody look at a stream; returns when the service knows."""
        watched = self.stream.outputs[output]
        before = watched.n_viewers
        viewer = Viewer(self._context, watched.endpoint, queue)
        while watched.n_viewers == before:
            self.stream.step()
        return viewer

    def show(self, *image_ids: int) -> None:
        """Publish images one after the other, and have each looked at by the service."""
        for image_id in image_ids:
            self.publisher.publish(image_id)
            self.stream.step()

    def count(self, name: str, stream: int | None = None) -> float:
        address = None if stream is None else self.stream.outputs[stream].address
        value = self.registry.get_sample_value(name, {} if address is None else {"stream": address})
        assert value is not None
        return value

    def close(self) -> None:
        self._context.destroy(linger=0)
        self.stream.close()
        self.publisher.close()


@contextmanager
def running(shm_dir: Path, *streams: dict[str, Any], **ring: Any) -> Iterator[Line]:
    addresses = {f"tcp://127.0.0.1:{free_tcp_port()}": stream for stream in streams}
    line = Line(shm_dir, addresses, **ring)
    try:
        yield line
    finally:
        line.close()


@pytest.mark.parametrize("dtype", ["u2", "u4", "i4", "f4"])
def test_viewer_sees_every_image_with_its_bytes(shm_dir: Path, runtime: Path, dtype: str) -> None:
    with running(shm_dir, FORWARD, dtype=dtype) as line:
        viewer = line.look()
        line.show(*range(30))
        images = [viewer.take() for _ in range(30)]
        assert [image.frame for image in images] == list(range(30))
        assert [image.is_good for image in images[:8]] == [True] * 6 + [False, True]
        assert images[3].header["pulse_id"] == 1003
        assert images[3].header["detector_name"] == "live"
        assert line.count("daq_live_images_sent_total", 0) == 30


def test_streams_side_by_side_deliver_each_in_its_way(shm_dir: Path, runtime: Path) -> None:
    batch = {"type": "batch", "config": [2, 10]}
    once = {"type": "periodic", "config": [1, 0.001]}
    with running(shm_dir, FORWARD, batch, once) as line:
        viewers = [line.look(output) for output in range(3)]
        line.show(*range(20))
        assert viewers[0].take_all(19) == list(range(20))
        assert viewers[1].take_waiting() == [0, 1, 10, 11]
        assert viewers[2].take_waiting() == [0]


def test_files_of_the_calibration_are_those_of_the_image(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD) as line:
        viewer = line.look()
        line.show(0)
        files = [{"role": "pedestal", "path": "/new.h5", "sha256": "0"}]
        line.publisher.ring.write_notes({"calibration": [{"index": 1, "files": files}]})
        line.publisher.publish(1, calibration=1)
        line.stream.step()
        assert "pedestal_file" not in viewer.take().header
        assert viewer.take().header["pedestal_file"] == "/new.h5"


def test_what_one_viewer_says_ends_nothing_for_the_others(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD) as line:
        viewer = line.look()
        with closing(RawViewer(line.stream.outputs[0].endpoint)) as raw:
            line.stream.step()
            raw.send(b"\x01x")
            while line.stream.outputs[0].n_viewers < 2:
                line.stream.step()
            for _ in range(5):
                raw.send(b"\x00never looked at")
                raw.send(b"\x01y")
            for _ in range(3):
                line.stream.step()
            line.show(*range(5))
            assert viewer.take_all(4) == list(range(5))
        while line.stream.outputs[0].n_viewers > 1:
            line.stream.step()
        viewer.leave()
        while line.stream.outputs[0].n_viewers:
            line.stream.step()


def test_viewers_are_served_beside_strangers_who_take_all_places(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD) as line, ExitStack() as strangers:
        viewer = line.look()
        host, port = line.stream.outputs[0].endpoint.removeprefix("tcp://").split(":")
        for n in range(MAX_PEERS + 50):
            strangers.enter_context(socket.create_connection((host, int(port))))
            if n % 64 == 0:
                line.stream.step()
        while not (n_ended := line.count("daq_live_connections_ended_total", 0)):
            line.stream.step()
        assert n_ended <= 51
        late = line.look()
        line.show(*range(5))
        assert viewer.take_all(4) == late.take_all(4) == list(range(5))


def test_viewer_that_sends_more_than_a_subscription_is_disconnected(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD) as line, closing(RawViewer(line.stream.outputs[0].endpoint)) as raw:
        raw.send(b"\x01" + bytes(100_000))
        assert raw.is_disconnected()


def test_where_nobody_looks_nothing_is_copied(shm_dir: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(shm_dir, FORWARD) as line:
        viewer = line.look()
        viewer.leave()
        while line.stream.outputs[0].n_viewers:
            line.stream.step()
        monkeypatch.setattr("std_live_stream.live_stream.Frame", lambda *_, **__: pytest.fail("copied"))
        line.show(*range(5))
        assert line.count("daq_live_images_sent_total", 0) == 0
        assert line.count("daq_live_viewers", 0) == 0


@pytest.mark.long
def test_viewer_that_stands_still_disturbs_no_other_and_costs_little(shm_dir: Path, runtime: Path) -> None:
    shape = (1024, 1024)
    with running(shm_dir, FORWARD, shape=shape) as line:
        stuck, quick = line.look(queue=1), line.look()
        line.show(0)
        before = psutil.Process().memory_info().rss
        for image_id in range(1, 150):
            line.show(image_id)
            assert quick.take().frame == image_id - 1
        assert quick.take().frame == 149
        image_bytes = 2 * shape[0] * shape[1]
        assert psutil.Process().memory_info().rss - before < 60 * image_bytes, "what waits for a viewer is bounded"
        seen = stuck.take_waiting()
        assert seen == sorted(set(seen)), "none twice, in order"
        assert len(seen) < 60
        line.show(150)
        assert stuck.take().frame == 150, "it sees new images as soon as it looks again"


def test_service_that_was_behind_goes_on_with_new_images_and_sends_no_torn_one(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD, n_slots=16) as line:
        viewer = line.look()
        for image_id in range(100):
            line.publisher.publish(image_id)
        while line.stream._images.lag:
            line.stream.step()
        assert viewer.take_all(99) == [96, 97, 98, 99]
        assert line.count("daq_live_images_skipped_total") == 96


def test_image_that_is_overwritten_while_it_is_copied_is_not_sent(
    shm_dir: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(shm_dir, FORWARD, n_slots=16) as line:
        viewer = line.look()

        class Overwritten(zmq.Frame):
            def __init__(self, pixels: Any, *, copy: bool) -> None:
                super().__init__(pixels, copy=copy)
                monkeypatch.undo()
                for image_id in range(1, 17):
                    line.publisher.publish(image_id)

        monkeypatch.setattr("std_live_stream.live_stream.Frame", Overwritten)
        line.show(0)
        assert line.count("daq_live_images_torn_total") == 1
        line.show(17)
        assert 0 not in viewer.take_all(17)


def test_no_image_is_torn_while_the_ring_is_written_at_full_speed(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD, n_slots=8, shape=(512, 512)) as line:
        viewer = line.look()
        stop = threading.Event()

        def publish() -> None:
            image_id = 0
            while not stop.is_set():
                line.publisher.publish(image_id)
                image_id += 1

        writer = threading.Thread(target=publish, name="publisher")
        writer.start()
        try:
            ids: list[int] = []
            while len(ids) < 50:
                line.stream.step()
                ids += viewer.take_waiting(0)
        finally:
            stop.set()
            writer.join()
        assert ids == sorted(set(ids))


def test_ring_that_comes_later_and_is_replaced_is_followed(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD) as line:
        viewer = line.look()
        line.show(0, 1)
        line.publisher.close()
        line.publisher = RingPublisher(image_buffer_path(line.config), shape=(32, 64), dtype="f4")
        while line.stream._images.ring is None or line.stream._images.ring.shape != (32, 64):
            line.stream.step()
        line.show(2)
        assert [viewer.take().pixels.shape for _ in range(3)] == [SHAPE, SHAPE, (32, 64)]


def test_without_a_ring_it_says_what_it_waits_for(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD) as line:
        line.stream._images.close()
        assert not line.stream.is_ready
        assert line.stream.why_not_ready == "waiting for the ImageBuffer: is the assembler running?"


def test_what_is_no_ring_is_told_at_the_start(shm_dir: Path, runtime: Path) -> None:
    (shm_dir / "live-images").write_bytes(bytes(8192))
    with pytest.raises(SharedMemoryError, match="is not shared memory of std-daq"):
        Line(shm_dir, {"tcp://127.0.0.1:0": FORWARD})


def test_no_stream_is_a_wrong_configuration(shm_dir: Path, runtime: Path) -> None:
    with pytest.raises(ConfigError, match="live_stream_configs"):
        Line(shm_dir, {})


def test_address_that_is_taken_is_told(shm_dir: Path, runtime: Path) -> None:
    with running(shm_dir, FORWARD) as line, pytest.raises(PortError, match="cannot be bound: Address already in use"):
        start(service_context(line.config))


def view(line: Line, *arguments: str) -> int:
    """Run ``std-daq view`` while images are shown."""
    address = line.stream.outputs[0].endpoint
    stop = threading.Event()

    def show() -> None:
        image_id = 0
        while not stop.is_set():
            line.show(image_id)
            image_id += 1

    showing = threading.Thread(target=show, name="showing")
    showing.start()
    try:
        return main(["view", "--address", address, "--n-images", "3", "--period-s", "0.01", *arguments])
    finally:
        stop.set()
        showing.join()


def test_view_tells_of_each_image_in_a_line(shm_dir: Path, runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(shm_dir, {"type": "periodic", "config": [1, 50]}) as line:
        assert view(line) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("128 x 64 uint16" in line for line in lines)


def test_view_makes_a_picture_and_documents(
    shm_dir: Path, runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    with running(shm_dir, {"type": "periodic", "config": [1, 50]}) as line:
        assert view(line, "--json", "--picture", str(tmp_path / "newest.png")) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(d["htype"], d["width"], d["min"] <= d["mean"] <= d["max"]) for d in documents] == [
        ("array-1.0", 128, True)
    ] * 3
    with Image.open(tmp_path / "newest.png") as picture:
        assert picture.size == (128, 64)
    assert [path.name for path in tmp_path.iterdir()] == ["newest.png"]


def test_view_of_a_stream_that_is_not_there_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    assert main(["view", "--address", address, "--timeout-s", "0.1"]) == 1
    assert f"no image arrived from {address} within 0.1 s" in capsys.readouterr().err
