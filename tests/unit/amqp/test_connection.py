import contextlib
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from std_daq.amqp import parameters
from std_daq.amqp.address import BrokerAddress, redact_url
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Delivery, Message
from std_daq.amqp.topology import NothingOwned
from std_daq.errors import BrokerError
from std_daq.recording.request_channel import RequestPublisher
from std_daq.recording.requests import WriteRequest

MESSAGE = Message(exchange="status", correlation_id="r")
STALE = Delivery(
    queue="q",
    body=b"",
    n_body_bytes=0,
    headers={},
    correlation_id=None,
    message_id=None,
    is_redelivered=False,
    tag=1,
    session=-1,
)


@pytest.fixture
def away() -> Iterator[str]:
    """URL of a port that is taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"amqp://user:secret@127.0.0.1:{taken.getsockname()[1]}/%2F"


def test_broker_that_is_away_is_told_without_the_password(away: str) -> None:
    with BrokerConnection(away, NothingOwned()) as connection:
        with pytest.raises(BrokerError, match="Connection refused") as caught:
            connection.wait_connected(0.5)
        assert not connection.is_connected
    assert "secret" not in str(caught.value)
    assert "amqp://127.0.0.1" in str(caught.value)


def test_messages_wait_for_the_broker_but_not_without_limit(away: str) -> None:
    with BrokerConnection(away, NothingOwned(), max_waiting=3) as connection:
        waiting = [connection.publish(MESSAGE) for _ in range(3)]
        with pytest.raises(BrokerError, match="3 messages wait"):
            connection.publish(MESSAGE)
        assert not any(confirmation.done() for confirmation in waiting)
    for confirmation in waiting:
        with pytest.raises(BrokerError, match="not confirmed"):
            confirmation.result(0)


def test_request_that_found_no_broker_in_time_is_taken_back(away: str) -> None:
    with (
        BrokerConnection(away, NothingOwned()) as connection,
        pytest.raises(BrokerError, match="was not sent"),
    ):
        RequestPublisher(connection, "tag").publish(WriteRequest(output_file="/a"), timeout_s=0.05)


def test_nothing_arrives_without_broker(away: str) -> None:
    with BrokerConnection(away, NothingOwned()) as connection:
        assert connection.receive(0.01) is None


def test_stale_deliveries_may_be_settled_at_any_time(away: str) -> None:
    with BrokerConnection(away, NothingOwned()) as connection:
        connection.acknowledge(STALE)
        connection.reject(STALE)


def test_closed_connection_says_so(away: str) -> None:
    with BrokerConnection(away, NothingOwned()) as connection:
        pass
    with pytest.raises(BrokerError, match="is closed"):
        connection.publish(MESSAGE)
    with pytest.raises(BrokerError, match="is closed"):
        connection.receive()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("broker-")]


def test_connection_that_was_never_started_can_be_closed(away: str) -> None:
    BrokerConnection(away, NothingOwned()).close()


def test_url_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(BrokerError, match="broker URL"):
        BrokerConnection("amqp://host:notaport/", NothingOwned())


def test_broker_that_takes_the_connection_and_never_answers_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "SOCKET_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10.0)
        with BrokerConnection(f"amqp://127.0.0.1:{server.getsockname()[1]}/", NothingOwned()) as connection:
            attempts = [server.accept()[0] for _ in range(3)]
            for attempt in attempts:
                attempt.close()
            assert connection.receive() is None, "the thread goes on"


def test_nodes_are_tried_in_turn_until_one_answers() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        urls = " ".join(f"amqp://127.0.0.1:{server.getsockname()[1]}/" for server in servers)
        with BrokerConnection(urls, NothingOwned()):
            order = [next_attempt(servers) for _ in range(6)]
    assert sorted(order[:3]) == [0, 1, 2]
    assert order[3:] == order[:3]


def next_attempt(servers: list[socket.socket]) -> int:
    """Hang up on the next who connects; returns to which server."""
    ready, _, _ = select.select(servers, [], [], 10.0)
    attempt, _ = ready[0].accept()
    attempt.close()
    return servers.index(ready[0])


@pytest.mark.parametrize("source", ["--broker-url", "broker.url", "std-daq up", "the variable STD_DAQ_BROKER_URL"])
def test_who_gave_the_url_is_told_while_there_is_no_connection(away: str, source: str) -> None:
    connection = BrokerConnection(BrokerAddress.parse(away, source=source), NothingOwned())
    assert f"no connection to the broker at {redact_url(away)} (given by {source})" in (connection.why_away or "")
    connection.close()


def test_place_and_reason_are_told_while_there_is_no_connection(away: str) -> None:
    connection = BrokerConnection(away, NothingOwned())
    assert connection.connected_to is None
    assert connection.why_away == f"no connection to the broker at {redact_url(away)}: it has not answered yet"
    connection.close()
