"""Access: TLS and the token with which a client calls its hosts, and the channels to them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from std_daq.telescope.client.errors import HostsConfigError
from std_daq.telescope.client.hosts import Host

_MS = 1000
_KEEPALIVE_S = 30
_PONG_WITHIN_S = 10
_FIRST_RECONNECT_MS = 200
_LAST_RECONNECT_MS = 2000


@dataclass(frozen=True, slots=True)
class Access:
    """How a client is let in; by default a connection is neither encrypted nor brings a token.

    Parameters
    ----------
    ca_file
        Certificates of the authorities that sign those of servers (PEM). TLS is on if this or ``use_tls`` is given.
    use_tls
        TLS with the authorities that this machine trusts.
    cert_file, key_file
        Certificate and key of this client, for servers that ask for them.
    server_name
        Name in the server's certificate, where it is not that of the address, as behind a gateway.
    token, token_file
        The token of the server, or a file that holds it. A token without TLS can be read by anybody on the way.
    max_message_bytes
        Largest message that is taken.
    """

    ca_file: Path | str | None = None
    use_tls: bool = False
    cert_file: Path | str | None = None
    key_file: Path | str | None = None
    server_name: str | None = None
    token: str | None = None
    token_file: Path | str | None = None
    max_message_bytes: int = 64 * 2**20

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what each call brings along; raises HostsConfigError if the token cannot be read."""
        token = self.token
        if token is None and self.token_file is not None:
            token = _read(self.token_file, "token_file").decode(errors="replace").strip()
            if not token:
                raise HostsConfigError("the file is empty", key="token_file", value=str(self.token_file))
        return () if token is None else (("authorization", f"Bearer {token}"),)

    def open_channel(self, host: Host, library: Any = grpc) -> Any:
        """Return a channel to a host; ``library`` is ``grpc`` or ``grpc.aio``.

        Raises
        ------
        HostsConfigError
            A file of TLS cannot be read.
        """
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            # A host that was switched off is noticed, also while it sends nothing.
            ("grpc.keepalive_time_ms", _KEEPALIVE_S * _MS),
            ("grpc.keepalive_timeout_ms", _PONG_WITHIN_S * _MS),
            ("grpc.http2.max_pings_without_data", 0),
            # One that comes back is reached within seconds; the default grows to two minutes.
            ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
            ("grpc.min_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
            ("grpc.max_reconnect_backoff_ms", _LAST_RECONNECT_MS),
        ]
        is_local = host.target.startswith("unix")
        if is_local or not (self.use_tls or self.ca_file is not None):
            return library.insecure_channel(host.target, options=options)
        if self.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        return library.secure_channel(host.target, self._credentials(), options=options)

    def _credentials(self) -> Any:
        if (self.cert_file is None) != (self.key_file is None):
            raise HostsConfigError("cert_file and key_file belong together", key="cert_file", value=str(self.cert_file))
        authority = None if self.ca_file is None else _read(self.ca_file, "ca_file")
        if self.cert_file is None or self.key_file is None:
            return grpc.ssl_channel_credentials(authority)
        return grpc.ssl_channel_credentials(
            authority, _read(self.key_file, "key_file"), _read(self.cert_file, "cert_file")
        )


def _read(path: Path | str, key: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise HostsConfigError(f"cannot be read: {error.strerror}", key=key, value=str(path)) from None
