"""Addresses at which viewers reach a live stream."""

import pytest
import zmq

from std_daq.cli.view import local_address
from std_daq.client.live_view import LiveView
from std_daq.imaging.config.model import LiveStreamConfig
from std_live_stream.output import Outputs
from std_test_kit.wait import wait_until


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:*", "tcp://[::1]:*"])
def test_viewer_gets_images_over_either_version_of_ip(address: str) -> None:
    outputs = Outputs({address: LiveStreamConfig(type="forward")}, image_bytes=2)
    output = outputs[0]
    viewer = LiveView(output.endpoint)
    try:

        def has_viewer() -> bool:
            output.update_viewers()
            return output.n_viewers == 1

        wait_until(has_viewer, 10)
        output.send(b'{"htype": "array-1.0", "type": "uint8", "shape": [1, 2], "frame": 7}', zmq.Frame(b"\x01\x02"))
        image = viewer.newest(10)
        assert image is not None
        assert image.pixels.tolist() == [[1, 2]]
    finally:
        viewer.close()
        outputs.close()


@pytest.mark.parametrize(
    ("configured", "reached_at"),
    [
        ("tcp://*:20000", "tcp://127.0.0.1:20000"),
        ("tcp://0.0.0.0:20000", "tcp://127.0.0.1:20000"),
        ("tcp://[::]:20000", "tcp://[::1]:20000"),
        ("tcp://10.0.0.1:20000", "tcp://10.0.0.1:20000"),
        ("ipc:///run/x", "ipc:///run/x"),
    ],
)
def test_stream_on_all_addresses_is_reached_by_loopback(configured: str, reached_at: str) -> None:
    assert local_address(configured) == reached_at
