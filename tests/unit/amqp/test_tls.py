"""What a client says of brokers whose TLS is not as it should be; each is a socket with a certificate of its own."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from std_daq.amqp.address import BrokerAddress, BrokerTlsFiles
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import NothingOwned
from std_daq.errors import BrokerError

LIMIT_S = 10.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> BrokerTlsFiles:
    """The authority, and a certificate of the client's own."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("client")
    own.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    own.private_key_pem.write_to_path(tmp_path / "client-key.pem")
    (tmp_path / "client-key.pem").chmod(0o600)
    return BrokerTlsFiles(tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client-key.pem")


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that greets with TLS and knows no AMQP: ``serve(certificate)`` returns its URL."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(certificate: trustme.LeafCert, clients_of: trustme.CA | None = None) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if clients_of is not None:
            clients_of.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        listening = socket.create_server(("127.0.0.1", 0))
        listening.settimeout(0.05)

        def run() -> None:
            with listening:
                while not stop.is_set():
                    try:
                        connection, _ = listening.accept()
                        connection.settimeout(1.0)
                        with context.wrap_socket(connection, server_side=True) as greeted:
                            greeted.recv(100)
                    except OSError:
                        continue

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"amqps://user:hush@127.0.0.1:{listening.getsockname()[1]}/"

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def complaint(url: str, files: BrokerTlsFiles) -> str:
    """Return why there is no connection, which is to be told at once."""
    with (
        BrokerConnection(BrokerAddress.parse(url, files), NothingOwned()) as connection,
        pytest.raises(BrokerError) as caught,
    ):
        connection.wait_connected(LIMIT_S)
    assert "hush" not in str(caught.value)
    return str(caught.value)


def test_certificate_of_an_unknown_authority_is_not_trusted(serve: Serve, files: BrokerTlsFiles) -> None:
    url = serve(trustme.CA().issue_cert("127.0.0.1"))
    assert "its certificate is not trusted" in complaint(url, files)
    assert "set broker.ca_file" in complaint(url, BrokerTlsFiles())


def test_certificate_for_another_host_is_told(serve: Serve, authority: trustme.CA, files: BrokerTlsFiles) -> None:
    assert "for another host" in complaint(serve(authority.issue_cert("127.0.0.9", "localhost")), files)
    url = serve(authority.issue_cert("127.0.0.1")).replace("127.0.0.1", "localhost")
    assert "for another host" in complaint(url, files)


def test_certificate_that_has_expired_is_told(serve: Serve, authority: trustme.CA, files: BrokerTlsFiles) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    url = serve(authority.issue_cert("127.0.0.1", not_after=yesterday))
    assert "its certificate has expired" in complaint(url, files)


def test_certificate_of_tomorrow_is_told(serve: Serve, authority: trustme.CA, files: BrokerTlsFiles) -> None:
    now = dt.datetime.now(dt.UTC)
    days = dt.timedelta(days=1)
    url = serve(authority.issue_cert("127.0.0.1", not_before=now + days, not_after=now + 2 * days))
    assert "not valid yet" in complaint(url, files)


def test_broker_that_wants_a_certificate_is_told(serve: Serve, authority: trustme.CA, files: BrokerTlsFiles) -> None:
    url = serve(authority.issue_cert("127.0.0.1"), clients_of=authority)
    said = complaint(url, BrokerTlsFiles(files.ca_file))
    assert "set broker.cert_file" in said


def test_files_that_cannot_be_used_are_named_at_once(tmp_path: Path, files: BrokerTlsFiles) -> None:
    nothing, text = tmp_path / "nothing.pem", tmp_path / "text.pem"
    text.write_text("text")
    text.chmod(0o600)
    for wrong, named in [
        (BrokerTlsFiles(nothing), f"broker.ca_file {nothing}: No such file"),
        (BrokerTlsFiles(text), f"broker.ca_file {text}: no usable PEM"),
        (BrokerTlsFiles(files.ca_file, files.cert_file, nothing), f"broker.key_file {nothing}: No such file"),
        (BrokerTlsFiles(files.ca_file, text, files.key_file), f"broker.cert_file {text}"),
        (BrokerTlsFiles(files.ca_file, files.cert_file, files.ca_file), f"broker.key_file {files.ca_file}"),
    ]:
        with pytest.raises(BrokerError, match=named):
            BrokerConnection(BrokerAddress.parse("amqps://host/", wrong), NothingOwned())


def test_private_key_that_others_may_read_is_refused(files: BrokerTlsFiles) -> None:
    assert files.key_file is not None
    files.key_file.chmod(0o644)
    with pytest.raises(BrokerError, match=r"others may read this private key; run: chmod o="):
        BrokerConnection(BrokerAddress.parse("amqps://host/", files), NothingOwned())
