"""Why a broker is away is told in words, and not in names of classes."""

import errno
import socket

import pika.exceptions
import pytest

from std_daq.amqp.failures import describe_failure

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
SAID = [
    (
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        "the host is not known (Name or service not known)",
    ),
    (REFUSED, "Connection refused: nobody listens there; is the broker running?"),
    (pika.exceptions.AMQPConnectionError(REFUSED), "Connection refused: nobody listens there; is the broker running?"),
    (TimeoutError("timed out"), "it does not answer in time: is the host off, or a firewall between?"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), "Network is unreachable"),
    (pika.exceptions.ProbableAuthenticationError("x"), "it refuses this user or the password (ACCESS_REFUSED)"),
    (
        pika.exceptions.ProbableAccessDeniedError("x"),
        "the virtual host in the URL does not exist, or this user has no rights in it",
    ),
    (
        pika.exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"),
        "it ended the connection: CONNECTION_FORCED - shutdown",
    ),
]


@pytest.mark.parametrize(("error", "words"), SAID, ids=[type(error).__name__ for error, _ in SAID])
def test_failure_is_told_in_words(error: Exception, words: str) -> None:
    assert describe_failure(error) == words
