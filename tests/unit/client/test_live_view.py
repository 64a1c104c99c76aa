"""A viewer of a stream in which not every message is an image."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest
import zmq

from std_daq.cli.__main__ import main
from std_daq.client.live_view import LiveView

HEADER = {"htype": "array-1.0", "shape": [2, 3], "type": "uint16", "frame": 7}
PIXELS = np.arange(6, dtype="<u2").tobytes()
NO_IMAGES = {
    "one part": [b"x"],
    "three parts": [json.dumps(HEADER).encode(), PIXELS, b""],
    "no JSON": [b"\xff\xfe{", PIXELS],
    "nested": [b"[" * 100_000, PIXELS],
    "another type": [json.dumps({**HEADER, "htype": "array-2.0"}).encode(), PIXELS],
    "no frame": [json.dumps({**HEADER, "frame": "\x1b[2J"}).encode(), PIXELS],
    "a long type": [json.dumps({**HEADER, "type": "x" * 10_000}).encode(), PIXELS],
    "too few pixels": [json.dumps(HEADER).encode(), PIXELS[:-1]],
    "a huge shape": [json.dumps({**HEADER, "shape": [2**70, 2**70]}).encode(), PIXELS],
    "digits without an end": [b'{"frame": ' + b"9" * 10_000 + b"}", PIXELS],
}


@contextmanager
def stream_of(*messages: list[bytes]) -> Iterator[str]:
    """Publish messages, one after the other and again and again; yields the address."""
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        is_ended = threading.Event()

        def publish() -> None:
            while not is_ended.is_set():
                for message in messages:
                    socket.send_multipart(message)
                    is_ended.wait(0.002)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            is_ended.set()
            thread.join()


@pytest.mark.parametrize("message", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_is_counted_and_the_next_image_is_returned(message: list[bytes]) -> None:
    image = [json.dumps(HEADER).encode(), PIXELS]
    with stream_of(message, message, message, image) as address, closing(LiveView(address)) as view:
        for _ in range(3):
            shown = view.newest(10.0)
            assert shown is not None
            assert shown.pixels.tobytes() == PIXELS
        while not view.n_refused:
            view.newest(10.0)
        assert 0 < len(view.last_problem) <= 200


def test_stream_without_any_image_ends_the_wait_in_time() -> None:
    with stream_of([b"x"]) as address, closing(LiveView(address)) as view:
        assert view.newest(0.3) is None
        assert view.n_refused


def test_view_goes_on_after_what_is_no_image_and_tells_the_number(capsys: pytest.CaptureFixture[str]) -> None:
    image = [json.dumps(HEADER).encode(), PIXELS]
    with stream_of(*NO_IMAGES.values(), image) as address:
        assert main(["view", "--address", address, "--n-images", "8", "--period-s", "0.01"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(line.startswith("image 7  3 x 2 uint16  good") for line in lines), lines
    assert "messages were no image of this format; the last one: " in lines[-1]


def test_view_of_a_stream_without_any_image_tells_why(capsys: pytest.CaptureFixture[str]) -> None:
    with stream_of(NO_IMAGES["no frame"]) as address:
        assert main(["view", "--address", address, "--timeout-s", "0.5"]) == 1
    error = capsys.readouterr().err
    assert "\\x1b[2J" in error
    assert "\x1b" not in error


def test_json_of_an_image_tells_how_many_messages_were_none(capsys: pytest.CaptureFixture[str]) -> None:
    image = [json.dumps(HEADER).encode(), PIXELS]
    with stream_of(*NO_IMAGES.values(), image) as address:
        assert main(["view", "--address", address, "--n-images", "8", "--period-s", "0.01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["n_refused"] > 0
