"""The errors of the client.

::

    StdDaqError
    ├── DaqDataError          a call to a host failed; also a grpc.RpcError
    ├── HostsAwayError        hosts do not answer; also a ConnectionError
    └── ConfigError
        └── HostsConfigError  the configuration of the hosts is wrong; also a ValueError
            └── MissingDataDirError  no data_dir is configured; also a KeyError

What programs for other clients of DaqData catch, such as grpc.RpcError or ConnectionError, catches these.
"""

from collections.abc import Collection
from typing import Any

import grpc
import grpc.aio

from std_daq.errors import ConfigError, StdDaqError

Code = grpc.StatusCode
_NOT_INITIALISED = "hp_io task is not valid"
_TOO_LARGE = "larger than max"
_TLS_WORDS = ("ssl", "handshake", "certificate", "tls")


class HostsConfigError(ConfigError, ValueError):
    """The configuration of the hosts is wrong."""


class MissingDataDirError(HostsConfigError, KeyError):
    """Nothing tells the data_dir of a host."""

    __str__ = Exception.__str__  # that of KeyError is for names of keys


class HostsAwayError(StdDaqError, ConnectionError):
    """Hosts do not answer.

    Parameters
    ----------
    away
        The hosts that do not answer, with their addresses.
    n_asked
        How many were asked.
    """

    def __init__(self, away: Collection[str], n_asked: int) -> None:
        hosts = ", ".join(away) or "none is configured"
        super().__init__(
            f"{len(away)} of {n_asked} hosts do not answer: {hosts}; "
            "is the server running there, and is this its address?"
        )
        self.away = tuple(away)


class DaqDataError(StdDaqError, grpc.aio.AioRpcError):  # type: ignore[misc]  # grpc has no types
    """A call to a host failed: says which host, which call, with which status, and what to do.

    Parameters
    ----------
    host, target
        The host as the configuration names it, and its address.
    call
        Name of the call.
    status
        The gRPC status.
    text
        What the server, or gRPC, said.

    Attributes
    ----------
    host, target, call
        As given. ``code()`` and ``details()`` return status and text, as in all errors of gRPC.
    """

    def __init__(self, host: str, target: str, call: str, status: Any, text: str) -> None:
        grpc.aio.AioRpcError.__init__(self, status, grpc.aio.Metadata(), grpc.aio.Metadata(), details=text)
        self.host = host
        self.target = target
        self.call = call

    def __str__(self) -> str:
        where = self.host if self.host == self.target else f"{self.host} ({self.target})"
        remedy = remedy_for(self.code(), self.details() or "")
        return f"{where}: {self.call}: {self.code().name}: {self.details()}" + (f"; {remedy}" if remedy else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.host, self.target, self.call, self.code(), self.details())


def remedy_for(status: Any, text: str) -> str:
    """Return what a user can do about a status; empty where the text says it all."""
    if status is Code.UNAVAILABLE and any(word in text.lower() for word in _TLS_WORDS):
        return "do both ends use TLS, and does the authority fit the server's certificate?"
    if status is Code.RESOURCE_EXHAUSTED:
        if _TOO_LARGE in text:
            return "give a larger max_message_bytes"
        return "end other streams, or raise max_streams of the server"
    if status is Code.FAILED_PRECONDITION and _NOT_INITIALISED in text:
        return "call init_hp_io first (std-live --init), or configure 'start' of the server"
    return {
        Code.UNAVAILABLE: "is the server running there, and is this its address?",
        Code.DEADLINE_EXCEEDED: "give a longer timeout; if that does not help, look at the status of the server",
        Code.UNAUTHENTICATED: "give the token of the server (token_file)",
        Code.UNIMPLEMENTED: "this server does not offer this call",
    }.get(status, "")


def heals_with_time(status: Any, text: str) -> bool:
    """Return whether a stream that ended like this may succeed later, as when a server is started again."""
    if status is Code.RESOURCE_EXHAUSTED:
        return _TOO_LARGE not in text
    return status in {
        Code.OK,
        Code.CANCELLED,
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.FAILED_PRECONDITION,
        Code.INTERNAL,
        Code.UNKNOWN,
    }
