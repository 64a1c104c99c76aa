"""Looks at a certificate as the other side of a connection will."""

import ssl
from pathlib import Path

# Each side speaks twice at most.
_ROUNDS = 3


def new_context(*, is_server: bool) -> ssl.SSLContext:
    """Return a context for one side of TLS 1.3, on which both sides show certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # What is trusted may also be the peer's own certificate, so that one can be let in, and shut out, by itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if is_server:
        context.num_tickets = 0  # each connection looks at the certificates
    return context


def check_certificate(cert_file: Path, key_file: Path, *, is_server: bool) -> float:
    """Show a certificate to somebody who trusts it, in a handshake in memory.

    Returns
    -------
    When it expires, in seconds since 1970.

    Raises
    ------
    ssl.SSLCertVerificationError
        When the other side will not take it: expired, not valid yet, or not for this side.
    """
    shows, looks = new_context(is_server=is_server), new_context(is_server=not is_server)
    for context in (shows, looks):
        context.load_cert_chain(cert_file, key_file, password="")
        context.check_hostname = False
    shows.verify_mode = ssl.CERT_NONE
    looks.load_verify_locations(cert_file)
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        shows.wrap_bio(one, other, server_side=is_server),
        looks.wrap_bio(other, one, server_side=not is_server),
    )
    for _ in range(_ROUNDS):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = sides[1].getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
