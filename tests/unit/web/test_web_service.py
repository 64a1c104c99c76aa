"""Where the console listens."""

import socket
from contextlib import closing

import pytest

from std_daq.errors import PortError
from std_web.web_service import listen


@pytest.mark.parametrize("address", ["a..b", "x" * 64])
def test_address_that_can_be_no_name_is_refused_in_words(address: str) -> None:
    with pytest.raises(PortError, match=r"no host of this name is known.*--host"):
        listen(address, 0)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_no_answer_waits_until_the_one_before_is_confirmed(address: str) -> None:
    with closing(listen(address, 0)) as listening, closing(socket.create_connection(listening.getsockname()[:2])):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
