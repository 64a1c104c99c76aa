"""A real RabbitMQ that speaks TLS only, set up by ``std-daq broker-setup --tls``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from std_daq.amqp.address import BrokerAddress, BrokerTlsFiles
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import NothingOwned, WriterQueues
from std_daq.errors import BrokerError
from std_daq.rabbitmq.ports import HOST
from std_daq.rabbitmq.setup_folder import CA_FILE, CERT_FILE, KEY_FILE
from std_daq.recording.request_channel import ReceivedRequest, RequestConsumer, RequestPublisher
from std_daq.recording.requests import Action, StatusMessage, WriteRequest
from std_daq.recording.status_channel import StatusListener, StatusPublisher
from std_test_kit.set_up_broker import SetUpBroker, set_up_broker

LIMIT_S = 20.0
TAG = "eiger"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def broker(authority: trustme.CA) -> Iterator[SetUpBroker]:
    def certify(folder: Path) -> None:
        certificate = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(folder / CA_FILE)
        certificate.cert_chain_pems[0].write_to_path(folder / CERT_FILE)
        certificate.private_key_pem.write_to_path(folder / KEY_FILE)

    with set_up_broker([TAG], host="localhost", certify=certify) as broker:
        yield broker


def test_requests_and_statuses_go_over_tls(broker: SetUpBroker) -> None:
    with (
        BrokerConnection(broker.address(f"{TAG}-agent"), WriterQueues(TAG)) as agent,
        StatusListener(broker.address(f"{TAG}-client")) as client,
    ):
        agent.wait_connected(LIMIT_S)
        client.connection.wait_connected(LIMIT_S)
        request_id = RequestPublisher(client.connection, TAG).publish(WriteRequest(output_file="/data/a.h5"))
        received = RequestConsumer(agent, TAG).poll(LIMIT_S)
        assert isinstance(received, ReceivedRequest)
        assert received.request_id == request_id
        status = StatusMessage(request_id=request_id, action=Action.START, source=TAG)
        StatusPublisher(agent).publish(status).result(LIMIT_S)
        assert client.receive(LIMIT_S) == status


def complaint(address: BrokerAddress, timeout_s: float = LIMIT_S) -> str:
    with BrokerConnection(address, NothingOwned()) as connection, pytest.raises(BrokerError) as caught:
        connection.wait_connected(timeout_s)
    return str(caught.value)


def test_broker_that_is_not_the_one_it_should_be_is_refused(broker: SetUpBroker, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    assert "certificate is not trusted" in complaint(broker.address("listener", BrokerTlsFiles(tmp_path / "other.pem")))
    at_address = broker.address("listener").text.replace("localhost", HOST)
    assert "for another host" in complaint(BrokerAddress.parse(at_address, broker.tls))


def test_certificate_that_the_broker_does_not_know_is_refused_and_its_own_taken(
    broker: SetUpBroker, authority: trustme.CA, tmp_path: Path
) -> None:
    for of_client, is_taken in ((authority, True), (trustme.CA(), False)):
        own = of_client.issue_cert("client")
        (tmp_path / "own.pem").write_bytes(own.cert_chain_pems[0].bytes())
        (tmp_path / "own-key.pem").write_bytes(own.private_key_pem.bytes())
        (tmp_path / "own-key.pem").chmod(0o600)
        tls = BrokerTlsFiles(broker.tls.ca_file, tmp_path / "own.pem", tmp_path / "own-key.pem")
        if is_taken:
            with BrokerConnection(broker.address("listener", tls), NothingOwned()) as connection:
                connection.wait_connected(LIMIT_S)
        else:
            assert "it refuses our side of TLS" in complaint(broker.address("listener", tls))


def test_port_without_tls_is_told_and_so_is_one_with(broker: SetUpBroker, broker_url: str) -> None:
    plain = broker_url.replace("amqp://", "amqps://")
    assert "it does not speak TLS at this port" in complaint(BrokerAddress.parse(plain, broker.tls))
    greeted_plainly = broker.address("listener").text.replace("amqps://", "amqp://")
    assert "is it one for TLS (amqps://)" in complaint(BrokerAddress.parse(greeted_plainly), 1.0)
