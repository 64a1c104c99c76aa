"""Description of stream_send for the platform: its processes and its options."""

import argparse

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig, TlsConfig
from std_daq.number_arguments import integer
from std_daq.service.checks import Check
from std_daq.service.description import Instance, ServiceDescription
from std_daq.streams.tcp.identity import TlsFiles, TlsIdentity
from std_daq.streams.tcp.router import check_listener


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sender", type=integer, default=0, metavar="INDEX", help="index of this sender in replication.send, from 0"
    )


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance(f"stream-send-{index}", ("--sender", str(index))) for index in range(len(config.replication.send))]


def _instance_of(arguments: argparse.Namespace, config: DetectorConfig) -> str:
    n_senders = len(config.replication.send)
    if not 0 <= arguments.sender < n_senders:
        raise ConfigError(
            f"there is no sender {arguments.sender}",
            key="replication.send",
            remedy=f"--sender takes 0 to {n_senders - 1}" if n_senders else "describe a sender there",
        )
    return f"stream-send-{arguments.sender}"


def tls_files(tls: TlsConfig, index: int) -> TlsFiles:
    """Return the certificates of a sender."""
    return TlsFiles(tls.ca_file, tls.cert_file, tls.key_file, key=f"replication.send.{index}.tls")


def _check_certificates(config: DetectorConfig) -> None:
    for index, sender in enumerate(config.replication.send):
        if sender.tls is not None:
            TlsIdentity(tls_files(sender.tls, index), is_server=True)


def _check_addresses(config: DetectorConfig) -> None:
    for sender in config.replication.send:
        check_listener(sender.address)


CERTIFICATES = Check(subject="certificates", run=_check_certificates, is_of_machine=True, is_part_of_start=True)
ADDRESSES = Check(subject="sender addresses", run=_check_addresses, is_of_machine=True, is_part_of_start=True)

SERVICE = ServiceDescription(
    name="stream-send",
    package="std_stream_send",
    summary="Sends the images of the ImageBuffer to receivers on other servers.",
    config=DetectorConfig,
    instances=_instances,
    checks=(CERTIFICATES, ADDRESSES),
    add_arguments=_add_arguments,
    instance_of=_instance_of,
)
