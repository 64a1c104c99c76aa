"""A RabbitMQ node as ``std-daq broker-setup`` sets one up: roles with their rights, on request TLS only."""

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from std_daq.amqp.address import BrokerAddress, BrokerTlsFiles
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import NothingOwned
from std_daq.amqp.url_file import read_url_file
from std_daq.errors import BrokerError
from std_daq.rabbitmq.node import RabbitNode
from std_daq.rabbitmq.ports import HOST, ReservedPort
from std_daq.rabbitmq.setup_folder import CA_FILE, CONFIGURATION, BrokerSetup, write_setup

PROBE_S = 0.5


@dataclass(frozen=True, slots=True)
class SetUpBroker:
    """The node and the folder that was made for it.

    Attributes
    ----------
    folder
        With a URL file for each role.
    node
        Can be killed and started again.
    tls
        With which its clients come.
    """

    folder: Path
    node: RabbitNode
    tls: BrokerTlsFiles

    def url(self, role: str) -> str:
        """Return the URL of a role, with its password."""
        return read_url_file(self.folder / f"{role}.url")

    def address(self, role: str, tls: BrokerTlsFiles | None = None) -> BrokerAddress:
        """Return the same with the files of TLS."""
        return BrokerAddress.parse(self.url(role), tls or self.tls)


@contextmanager
def set_up_broker(
    tags: Sequence[str], *, host: str = HOST, certify: Callable[[Path], None] | None = None
) -> Iterator[SetUpBroker]:
    """Yield a running node.

    Parameters
    ----------
    tags
        Of the detectors.
    host
        Name of this machine under which clients reach it.
    certify
        Puts the certificates into the folder; None: without TLS.
    """
    with tempfile.TemporaryDirectory(prefix="std-daq-set-up-") as parent:
        folder, data = Path(parent) / "secrets", Path(parent) / "node"
        data.mkdir()
        folder.mkdir()
        if certify is not None:
            certify(folder)
        port = ReservedPort()
        setup = BrokerSetup(
            tags=tags,
            hosts=[host],
            port=port.number,
            listen_on=HOST,
            vhost="std-daq",
            has_tls=certify is not None,
            queue_type="default",
            mounted_at=folder,
        )
        write_setup(setup, folder)
        tls = BrokerTlsFiles() if certify is None else BrokerTlsFiles(folder / CA_FILE)
        with _node(folder, data, tls) as node:
            yield SetUpBroker(folder, node, tls)
        port.release()


def _node(folder: Path, data: Path, tls: BrokerTlsFiles) -> RabbitNode:
    admin = BrokerAddress.parse(read_url_file(folder / "admin.url"), tls)
    configuration = f"{(folder / CONFIGURATION).read_text()}log.file = rabbit.log\n"
    return RabbitNode(data, configuration, lambda: _check(admin))


def _check(address: BrokerAddress) -> None:
    with BrokerConnection(address, NothingOwned()) as connection:
        try:
            connection.wait_connected(PROBE_S)
        except BrokerError as error:
            raise ConnectionError(str(error)) from None


def main() -> None:
    """Run a node with the files that ``std-daq broker-setup`` has made in the folder that the command line names."""
    folder = Path(sys.argv[1]).absolute()
    with (
        tempfile.TemporaryDirectory(prefix="std-daq-set-up-") as data,
        _node(folder, Path(data), BrokerTlsFiles()),
    ):
        sys.stdout.write("broker is ready\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
