"""TLS to the broker: the checks of a connection, and a text for each failure."""

import re
import ssl
from pathlib import Path

import pika

from std_daq.amqp.address import BrokerTlsFiles
from std_daq.amqp.url_file import is_open_to_others
from std_daq.errors import BrokerError

# Codes of OpenSSL's X509_verify_cert_error_string.
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_HOST = (62, 64)
_REASON = re.compile(r"\[SSL: (\w+)\]")


def tls_options(files: BrokerTlsFiles, host: str) -> pika.SSLOptions:
    """Return pika's options for a TLS connection that verifies the broker's certificate and host name.

    Parameters
    ----------
    files
        Certificates and key.
    host
        Name or address that the broker's certificate must contain.

    Raises
    ------
    BrokerError
        A file cannot be used; the message names it.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"broker.ca_file {files.ca_file}: {_reason(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert_file is not None and files.key_file is not None:
        _load_certificate(context, files.cert_file, files.key_file)
    return pika.SSLOptions(context, server_hostname=host)


def _load_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    try:
        is_open = is_open_to_others(key_file)
        # With an empty passphrase an encrypted key fails; without one OpenSSL would ask for it at the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"broker.cert_file {cert_file} with broker.key_file {key_file}: {_reason(error)}") from None
    if is_open:
        raise BrokerError(f"broker.key_file {key_file}: others may read this private key; run: chmod o= {key_file}")


def explain_tls_failure(error: BaseException) -> str | None:
    """Return what failed in the TLS handshake and what to do; None if the error has nothing to do with TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _WRONG_HOST:
            return f"its certificate is for another host ({error.verify_message}): use the name in the certificate"
        if error.verify_code == _EXPIRED:
            return "its certificate has expired: install a new certificate at the broker"
        if error.verify_code == _NOT_YET_VALID:
            return "its certificate is not valid yet: check the clocks of both machines"
        return f"its certificate is not trusted ({error.verify_message}): set broker.ca_file to its authority's file"
    reason = _openssl_reason(error)
    if reason is None:
        return None
    if reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS at this port: use its TLS port (5671), or amqp:// for plain TCP"
    if "ALERT" in reason:
        return f"it refuses our side of TLS ({reason}): set broker.cert_file and broker.key_file to files it accepts"
    return f"TLS failed: {reason}"


def _openssl_reason(error: BaseException) -> str | None:
    """Return OpenSSL's name of the failure; for some errors, pika keeps only the text."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason
    found = _REASON.search(str(error))
    return found[1] if found else None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no usable PEM ({error.reason or error})"
    return error.strerror or str(error)
