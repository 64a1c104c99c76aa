"""Explains failures of TLS between two servers."""

import ssl

# Codes of OpenSSL's X509_verify_cert_error_string.
_NOT_YET_VALID, _EXPIRED, _WRONG_PURPOSE = 9, 10, 26
_WRONG_NAME = (62, 64)

_NO_TLS = "the peer does not speak TLS"
_REASONS = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "HTTPS_PROXY_REQUEST": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": "the peer has no TLS 1.3",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer shows no certificate",
}
# Alerts with which the peer ends the connection, and their meaning.
_ALERTS = {
    "CERTIFICATE_EXPIRED": "this side's certificate has expired: make a new one",
    "UNKNOWN_CA": "this side's certificate is not from an authority in its ca_file",
    "CERTIFICATE_UNKNOWN": "this side's certificate is not acceptable: is it for this name?",
    "BAD_CERTIFICATE": "this side's certificate is not acceptable: is it for this name, and valid already?",
    "UNSUPPORTED_CERTIFICATE": "this side's certificate is not for its part: one for servers listens, one for "
    "clients connects",
    "CERTIFICATE_REQUIRED": "this side shows no certificate",
    "PROTOCOL_VERSION": "the peer does not take this side's version of TLS",
}


def explain_tls_failure(error: ssl.SSLError) -> str:
    """Return why TLS with a peer has failed, and a remedy if one is known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error)
    reason = error.reason or str(error)
    for alert, what in _ALERTS.items():
        if reason.endswith(f"ALERT_{alert}"):
            return f"the peer refuses this side: {what}"
    if "ALERT" in reason:
        return f"the peer refuses this side ({reason})"
    return _REASONS.get(reason) or f"TLS failed ({reason}): the peer may not speak TLS"


def _explain_certificate(error: ssl.SSLCertVerificationError) -> str:
    match error.verify_code:
        case code if code == _EXPIRED:
            return "the certificate of the peer has expired: make a new one there"
        case code if code == _NOT_YET_VALID:
            return "the certificate of the peer is not valid yet: check the clocks"
        case code if code == _WRONG_PURPOSE:
            return "the certificate of the peer is not for its part: one for servers listens, one for clients connects"
        case code if code in _WRONG_NAME:
            return (
                f"the certificate of the peer is for another name ({error.verify_message}): "
                "give the name in it as replication.receive.tls.server_name"
            )
    return f"the certificate of the peer is not from an authority in ca_file ({error.verify_message})"
