"""Checks a certificate in the same way as the other side of a connection will."""

import ssl
from pathlib import Path

# In a handshake of TLS 1.3, each side sends at most twice.
_ROUNDS = 3


def new_context(*, is_server: bool) -> ssl.SSLContext:
    """Return a context for one side of a TLS 1.3 connection in which both sides present certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # The certificate of a peer may itself be trusted, so that a single peer can be admitted or excluded.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if is_server:
        context.num_tickets = 0  # no session is resumed, so that each connection checks the certificates
    return context


def check_certificate(cert_file: Path, key_file: Path, *, is_server: bool) -> float:
    """Check a certificate in a handshake in memory with a peer that trusts it.

    Returns
    -------
    Time at which the certificate expires, in seconds since 1970.

    Raises
    ------
    ssl.SSLCertVerificationError
        A peer would reject the certificate: it has expired, is not valid yet, or is not for this side.
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
