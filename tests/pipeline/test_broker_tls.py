"""A real RabbitMQ that speaks TLS only, set up by ``std-daq broker-setup --tls``."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from std_daq.broker.address import BrokerAddress, TlsFiles
from std_daq.broker.connection import BrokerConnection
from std_daq.broker.rabbit_node import HOST, RabbitNode, pick_port
from std_daq.broker.requests import ReceivedRequest, RequestConsumer, RequestPublisher
from std_daq.broker.setup_folder import CA_FILE, CERT_FILE, CONFIGURATION, KEY_FILE
from std_daq.broker.statuses import StatusListener, StatusPublisher
from std_daq.broker.topology import NothingOwned, WriterQueues
from std_daq.broker.url_file import read_url_file
from std_daq.cli.__main__ import main
from std_daq.errors import BrokerError
from std_daq.protocols.requests import Action, StatusMessage, WriteRequest

LIMIT_S = 20.0
TAG = "eiger"


@dataclass(frozen=True)
class Broker:
    """What was set up, and the authority of its certificate."""

    folder: Path
    authority: trustme.CA

    @property
    def tls(self) -> TlsFiles:
        return TlsFiles(self.folder / CA_FILE)

    def address(self, role: str, tls: TlsFiles | None = None) -> BrokerAddress:
        return BrokerAddress.parse(read_url_file(self.folder / f"{role}.url"), tls or self.tls)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    port = pick_port()
    with tempfile.TemporaryDirectory(prefix="std-daq-tls-") as parent:
        folder = Path(parent) / "secrets"
        folder.mkdir()
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(folder / CA_FILE)
        certificate.cert_chain_pems[0].write_to_path(folder / CERT_FILE)
        certificate.private_key_pem.write_to_path(folder / KEY_FILE)
        where = ["--host", "localhost", "--port", str(port), "--listen-on", HOST, "--mounted-at", str(folder)]
        assert main(["broker-setup", "--tls", "--tag", TAG, "--directory", str(folder), *where]) == 0
        broker = Broker(folder, authority)
        text = (folder / CONFIGURATION).read_text() + "log.file = rabbit.log\n"
        node = RabbitNode(Path(parent) / "node", text, lambda: check(broker))
        node.folder.mkdir()
        with node:
            yield broker


def check(broker: Broker) -> None:
    with BrokerConnection(broker.address("admin"), NothingOwned()) as connection:
        try:
            connection.wait_connected(0.5)
        except BrokerError as error:
            raise ConnectionError(str(error)) from None


def test_requests_and_statuses_go_over_tls(broker: Broker) -> None:
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


def test_broker_that_is_not_the_one_it_should_be_is_refused(broker: Broker, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    assert "certificate is not trusted" in complaint(broker.address("listener", TlsFiles(tmp_path / "other.pem")))
    at_address = broker.address("listener").text.replace("localhost", HOST)
    assert "for another host" in complaint(BrokerAddress.parse(at_address, broker.tls))


def test_certificate_that_the_broker_does_not_know_is_refused_and_its_own_taken(broker: Broker, tmp_path: Path) -> None:
    for authority, is_taken in ((broker.authority, True), (trustme.CA(), False)):
        own = authority.issue_cert("client")
        (tmp_path / "own.pem").write_bytes(own.cert_chain_pems[0].bytes())
        (tmp_path / "own-key.pem").write_bytes(own.private_key_pem.bytes())
        (tmp_path / "own-key.pem").chmod(0o600)
        tls = TlsFiles(broker.tls.ca_file, tmp_path / "own.pem", tmp_path / "own-key.pem")
        if is_taken:
            with BrokerConnection(broker.address("listener", tls), NothingOwned()) as connection:
                connection.wait_connected(LIMIT_S)
        else:
            assert "it refuses our side of TLS" in complaint(broker.address("listener", tls))


def test_port_without_tls_is_told_and_so_is_one_with(broker: Broker, broker_url: str) -> None:
    plain = broker_url.replace("amqp://", "amqps://")
    assert "it does not speak TLS at this port" in complaint(BrokerAddress.parse(plain, broker.tls))
    greeted_plainly = broker.address("listener").text.replace("amqps://", "amqp://")
    assert "is it one for TLS (amqps://)" in complaint(BrokerAddress.parse(greeted_plainly), 1.0)
