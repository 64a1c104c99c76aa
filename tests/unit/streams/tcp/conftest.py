"""Certificates of two servers, and of strangers."""

import datetime as dt
import io
from pathlib import Path

import pytest
import trustme

from std_daq.streams.tcp.identity import TlsFiles, TlsIdentity
from std_daq.telemetry.logs import configure_logs

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


class Certificates:
    """Writes certificates into a folder.

    Parameters
    ----------
    folder
        The folder.
    authority
        Who issues them; also trusted by those that it issues for, if they do not say otherwise.
    """

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self.folder = folder
        self.authority = authority
        folder.mkdir(exist_ok=True)

    def write(
        self, name: str, *, host: str = "127.0.0.1", is_expired: bool = False, trusted: trustme.CA | None = None
    ) -> TlsFiles:
        """Write a certificate, its key and whom it trusts; returns the files."""
        times = {"not_before": LONG_AGO, "not_after": YESTERDAY} if is_expired else {}
        issued = self.authority.issue_cert(host, common_name=name, **times)
        files = TlsFiles(*(self.folder / f"{name}-{kind}.pem" for kind in ("ca", "cert", "key")), key="tls")
        (trusted or self.authority).cert_pem.write_to_path(files.ca_file)
        files.key_file.touch(0o600)
        issued.private_key_pem.write_to_path(files.key_file)
        files.cert_file.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return files


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def stranger() -> trustme.CA:
    """An authority that nobody trusts."""
    return trustme.CA()


@pytest.fixture
def certificates(tmp_path: Path, authority: trustme.CA) -> Certificates:
    return Certificates(tmp_path / "certificates", authority)


@pytest.fixture
def log() -> io.StringIO:
    """What has been logged, also while fixtures were made."""
    stream = io.StringIO()
    configure_logs("info", json=True, file=stream)
    return stream


@pytest.fixture
def near(log: io.StringIO, certificates: Certificates) -> TlsIdentity:
    """The identity of the side that listens at 127.0.0.1."""
    return TlsIdentity(certificates.write("near"), is_server=True)


@pytest.fixture
def far(log: io.StringIO, certificates: Certificates) -> TlsIdentity:
    """The identity of the side that connects."""
    return TlsIdentity(certificates.write("far", host="far.site"), is_server=False)
