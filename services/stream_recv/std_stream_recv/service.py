"""Description of stream_recv for the platform: its processes and its options."""

from std_daq.imaging.config.model import DetectorConfig, ReceiverTlsConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.start_checks import DETECTOR, IMAGE_BUFFER, RINGS, plan_image_buffer
from std_daq.service.checks import Check
from std_daq.service.description import Instance, ServiceDescription
from std_daq.streams.tcp.identity import TlsFiles, TlsIdentity


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance("stream-recv")] if config.replication.receive is not None else []


def tls_files(tls: ReceiverTlsConfig) -> TlsFiles:
    """Return the certificates for connections to senders."""
    return TlsFiles(tls.ca_file, tls.cert_file, tls.key_file, key="replication.receive.tls")


def _check_credit(config: DetectorConfig) -> None:
    from std_stream_recv.plan import credit_of

    if (wanted := config.replication.receive) is not None:
        credit_of(config, wanted, plan_image_buffer(config, open_detector(config)).n_slots)


def _check_certificates(config: DetectorConfig) -> None:
    wanted = config.replication.receive
    if wanted is not None and wanted.tls is not None:
        TlsIdentity(tls_files(wanted.tls), is_server=False)


CREDIT = Check(subject="credit", run=_check_credit)
CERTIFICATES = Check(subject="certificates", run=_check_certificates, is_of_machine=True, is_part_of_start=True)

SERVICE = ServiceDescription(
    name="stream-recv",
    package="std_stream_recv",
    summary="Receives the images of another server into the ImageBuffer.",
    config=DetectorConfig,
    instances=_instances,
    checks=(DETECTOR, IMAGE_BUFFER, CREDIT, RINGS, CERTIFICATES),
)
