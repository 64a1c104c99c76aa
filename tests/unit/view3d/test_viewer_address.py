"""Addresses of viewers."""

import socket

import pytest

from std_daq.errors import ConfigError, ResourceError
from std_daq.view3d.viewer_address import ViewerAddress


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        ("localhost:9876", "localhost", 9876, "rerun+http://localhost:9876/proxy"),
        ("10.0.0.5:1", "10.0.0.5", 1, "rerun+http://10.0.0.5:1/proxy"),
        ("[::1]:9876", "::1", 9876, "rerun+http://[::1]:9876/proxy"),
    ],
)
def test_an_address_is_host_and_port(text: str, host: str, port: int, url: str) -> None:
    address = ViewerAddress.of(text)
    assert (address.host, address.port, address.url, str(address)) == (host, port, url, text)


@pytest.mark.parametrize(
    "text", ["", "localhost", "localhost:", ":9876", "a:0", "a:65536", "::1:9876", "http://a:1", "a b:1"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="for example localhost:9876"):
        ViewerAddress.of(text)


def test_an_address_where_nobody_listens_is_told_with_what_to_start() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = ViewerAddress(*listening.getsockname())
        with pytest.raises(ResourceError, match=f"rerun --port {address.port}"):
            address.check()
        listening.listen()
        address.check()
