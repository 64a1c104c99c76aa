"""TlsIdentity: the certificate and key that one side presents, and the authorities that it trusts."""

import ssl
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.streams.tcp.certificate_check import check_certificate, new_context
from std_daq.streams.tcp.tls_failures import explain_tls_failure
from std_daq.telemetry.logs import ConditionLog, get_logger

_REMEDY = "std-daq certificates makes certificates and keys"
# Text in an encrypted key, in the two formats that OpenSSL writes.
_ENCRYPTED = ("ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED")
_SOON_S = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of one side.

    Parameters
    ----------
    ca_file
        Trusted certificates: one of them must have signed the certificate of the peer, or be that certificate.
    cert_file, key_file
        The certificate of this side, optionally with intermediate certificates, and its private key.
    key
        Configuration key of the section with these files, for errors.
    """

    ca_file: Path
    cert_file: Path
    key_file: Path
    key: str


class TlsIdentity:
    """The TLS files of one side; the constructor reads them, and a new connection reads files that have changed.

    Parameters
    ----------
    files
        The files.
    is_server
        Whether this side listens.
    clock
        Returns the time in seconds since 1970.

    Raises
    ------
    ConfigError
        A file cannot be used; the error says which file, and why.
    """

    def __init__(self, files: TlsFiles, *, is_server: bool, clock: Callable[[], float] = time.time) -> None:
        self._files = files
        self._is_server = is_server
        self._clock = clock
        self._conditions = ConditionLog()
        self._state = self._look()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection.

        If the files have changed and cannot be used, the context of the earlier files is used, and a warning is logged.
        """
        try:
            state = self._look()
            if state != self._state:
                self._context, self._state = self._read(), state
        except ConfigError as error:
            self._conditions.warning("certificates_not_read_again", why=str(error))
        return self._context

    def _look(self) -> tuple[int, ...]:
        """Return numbers that change when a file changes."""
        numbers: list[int] = []
        for name in ("ca_file", "cert_file", "key_file"):
            try:
                found = self._file(name).stat()
            except OSError as error:
                raise self._error(name, f"cannot be read: {error.strerror}") from None
            numbers += (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        return tuple(numbers)

    def _read(self) -> ssl.SSLContext:
        cert_file, key_file = self._files.cert_file, self._files.key_file
        self._check_texts()
        context = new_context(is_server=self._is_server)
        try:
            context.load_verify_locations(self._files.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise self._error("ca_file", f"contains no certificate that can be read ({_reason(error)})") from None
        try:
            # Without a passphrase, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except ssl.SSLError as error:
            if error.reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
                raise self._error("key_file", f"does not belong to the certificate in {cert_file}") from None
            problem = f"one of cert_file and key_file ({key_file}) cannot be read ({_reason(error)})"
            raise self._error("cert_file", problem) from None
        try:
            expires_at = check_certificate(cert_file, key_file, is_server=self._is_server)
        except ssl.SSLCertVerificationError as error:
            raise self._error("cert_file", explain_tls_failure(error)) from None
        is_soon = expires_at - self._clock() < _SOON_S
        expires = time.strftime("%Y-%m-%d", time.gmtime(expires_at))
        log = get_logger().warning if is_soon else get_logger().info
        log("certificate_expires_soon" if is_soon else "certificate_read", cert_file=str(cert_file), expires=expires)
        return context

    def _check_texts(self) -> None:
        """Check the texts of the files first, because errors of OpenSSL do not say which file is wrong."""
        key_file = self._files.key_file
        texts = {}
        for name in ("cert_file", "key_file"):
            try:
                texts[name] = self._file(name).read_text(encoding="ascii", errors="replace")
            except OSError as error:
                raise self._error(name, f"cannot be read: {error.strerror}") from None
        if key_file.stat().st_mode & stat.S_IRWXO:
            raise self._error(
                "key_file", "other users may read or write this private key", remedy=f"chmod o= {key_file}"
            )
        if any(sign in texts["key_file"] for sign in _ENCRYPTED):
            remedy = f"openssl pkey -in {key_file} -out NEW_FILE"
            raise self._error(
                "key_file", "this key is encrypted, but a service cannot ask for its passphrase", remedy=remedy
            )
        for name, sign in (("cert_file", "BEGIN CERTIFICATE"), ("key_file", "PRIVATE KEY")):
            if sign not in texts[name]:
                raise self._error(name, f"contains no {sign.removeprefix('BEGIN ').lower()}")

    def _file(self, name: str) -> Path:
        file: Path = getattr(self._files, name)
        return file

    def _error(self, name: str, problem: str, *, remedy: str = _REMEDY) -> ConfigError:
        return ConfigError(problem, key=f"{self._files.key}.{name}", value=str(self._file(name)), remedy=remedy)


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return str(reason or error)
