"""What tests of a real std-live-view share: servers, producers, calls, and what they must answer."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff import PRODUCTS, Product
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.writer import encode_frame
from std_test_kit.daqdata_clients import TableClient
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.telescope_frames import make_header, make_pixels
from std_test_kit.wait import wait_until

Code = grpc.StatusCode
IMG16, PH256 = PRODUCTS["img16"], PRODUCTS["ph256"]
SOCKETS = {"unix_sockets": {"path_template": "sock_{dp_name}"}}


@contextlib.contextmanager
def fails(code: grpc.StatusCode, text: str = "") -> Iterator[None]:
    """Check that a call fails with this status, and with this text, of which the end may be left out by ``...``."""
    with pytest.raises(grpc.RpcError) as failed:
        yield
    told = failed.value.code(), failed.value.details()
    is_as_expected = told[1].startswith(text[:-3]) if text.endswith("...") else told[1] == (text or told[1])
    assert (told[0], is_as_expected) == (code, True), told


@contextlib.contextmanager
def live_view(**config: Any) -> Iterator[tuple[LiveViewProcess, TableClient]]:
    with LiveViewProcess(**config) as process, TableClient(process.target) as client:
        yield process, client


def upload_image(client: TableClient, product: Product, number: int, module_id: int = 1, **fields: Any) -> Any:
    pixels = make_pixels(product, number, module_id)
    return client.image(
        **{
            "type": 1 if product.is_pulse_height else 2,
            "shape": product.shape,
            "bytes_per_pixel": product.dtype.itemsize,
            "image_array": pixels.view(f"u{product.dtype.itemsize}").reshape(-1).tolist(),
            "header": make_header(product, number),
            "module_id": module_id,
            "frame_number": number,
        }
        | fields
    )


def assert_is_frame(image: Any, product: Product, number: int, module_id: int = 1) -> None:
    """Check that an image is bit for bit the one of the generator."""
    pixels = np.array(image.image_array, np.uint32).astype(f"<u{product.dtype.itemsize}").tobytes()
    assert pixels == make_pixels(product, number, module_id).tobytes()
    assert (tuple(image.shape), image.bytes_per_pixel) == (product.shape, product.dtype.itemsize)
    assert (image.type == image.PULSE_HEIGHT) == product.is_pulse_height
    assert image.module_id == module_id
    header = {name: image.header[name] for name in image.header.fields}
    for key, value in make_header(product, number).items():
        assert (dict(header[key].items()) if isinstance(value, dict) else header[key]) == value


def begun(client: TableClient, **fields: Any) -> Any:
    """Return a stream that the server has begun: nothing that is sent from now on is missed."""
    n_before = n_streams(client)
    stream = client.stream(**fields)
    wait_until(lambda: n_streams(client) > n_before, 5.0)
    return stream


def n_streams(client: TableClient) -> int:
    raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
    return len(messages.StatusResponse.FromString(raw).clients)


class Producer:
    """Writes frames into a socket of the server, as an acquisition does."""

    def __init__(self, process: LiveViewProcess, product: Product) -> None:
        self._product = product
        self._socket = socket.socket(socket.AF_UNIX)
        self._path = str(process.folder / f"sock_{product.name}")

    def send(self, number: int, module_id: int = 1, n_bytes: int | None = None) -> None:
        product = self._product
        pixels = make_pixels(product, number, module_id)
        frame = encode_frame(pixels, make_header(product, number), product, HeaderForm.SOCKET)
        self._socket.sendall((module_id.to_bytes(2, "big") + frame)[:n_bytes])

    def __enter__(self) -> "Producer":
        self._socket.connect(self._path)
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()
