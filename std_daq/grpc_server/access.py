"""Who may call: TLS, and a token in the metadata of each call."""

import hmac
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from std_daq.errors import ConfigError
from std_daq.grpc_server.config import PortTlsConfig

_OPEN_TO_ALL = "/grpc.health.v1.Health/"
_REFUSED = "This server asks for a token: metadata authorization, 'Bearer TOKEN'."


def read_token(path: Path) -> str:
    """Return the token in a file; raises ConfigError if there is none."""
    token = _read(path, "token_file").decode(errors="replace").strip()
    if not token:
        raise ConfigError("the file is empty", key="token_file", value=str(path), remedy="write a token into it")
    return token


def token_metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata with which a call is allowed."""
    return () if token is None else (("authorization", f"Bearer {token}"),)


def server_credentials(tls: PortTlsConfig, folder: Path) -> grpc.ServerCredentials:
    """Return the credentials of the server; raises ConfigError if a file is missing or does not fit."""
    certificate, key = folder / tls.cert_file, folder / tls.key_file
    pair = (_read(key, "tls.key_file"), _read(certificate, "tls.cert_file"))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ConfigError(
            f"certificate and key do not fit: {error}", key="tls.cert_file", value=str(certificate)
        ) from None
    authority = None if tls.client_ca_file is None else _read(folder / tls.client_ca_file, "tls.client_ca_file")
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


class TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Refuses calls without the token; health is open to all.

    Parameters
    ----------
    token
        The token.
    """

    def __init__(self, token: str) -> None:
        self._expected = dict(token_metadata(token))["authorization"].encode()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Return what answers a call."""
        handler = await continuation(handler_call_details)
        metadata: Mapping[str, Any] = dict(handler_call_details.invocation_metadata)
        given = str(metadata.get("authorization", "")).encode()
        is_open = handler_call_details.method.startswith(_OPEN_TO_ALL)
        if handler is None or is_open or hmac.compare_digest(given, self._expected):
            return handler
        if handler.response_streaming:
            return (
                grpc.stream_stream_rpc_method_handler(_refuse)
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler(_refuse)
            )
        return (
            grpc.stream_unary_rpc_method_handler(_refuse)
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler(_refuse)
        )


async def _refuse(request: Any, context: Any) -> None:  # noqa: ARG001 - the signature of all calls
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, _REFUSED)


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", key=key, value=str(path)) from None
