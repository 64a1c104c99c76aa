import errno
import socket

import pytest
import zmq

from std_daq.address_words import address_in_words


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (("203.0.113.7", 0), "no interface of this machine has this address"),
        (("nobody.invalid", 0), "no host of this name is known"),
    ],
)
def test_address_that_cannot_be_bound_is_told_in_words(address: tuple[str, int], words: str) -> None:
    def bind() -> None:
        with socket.socket() as one:
            one.bind(address)

    with pytest.raises(OSError, check=lambda error: words in address_in_words(error)):
        bind()


def test_text_of_zmq_is_not_shown() -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as one:
        for address, words in (
            ("tcp://eth99:5000", "no interface has this name"),
            ("tcp://127.0.0.1:port", "it is no address of the right form"),
            ("ipc:///nowhere/socket", "there is no such folder"),
            (f"ipc:///tmp/{'x' * 200}", "may have 107 bytes"),
        ):
            with pytest.raises(zmq.ZMQError) as raised:
                one.bind(address)
            text = address_in_words(raised.value)
            assert words in text
            assert "addr=" not in text


def test_port_in_use_is_told_with_the_command_that_shows_by_whom() -> None:
    assert "ss -lnptu" in address_in_words(OSError(errno.EADDRINUSE, "Address already in use"))


def test_what_has_no_words_here_has_those_of_the_system() -> None:
    assert address_in_words(OSError(errno.EMFILE, "Too many open files")) == "Too many open files"
    assert address_in_words(OSError("no number")) == "no number"
