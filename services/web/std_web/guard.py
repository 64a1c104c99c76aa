"""The guard: which requests are answered at all, and what browsers are told about the answers.

A page of another site can send requests from a visitor's browser to any address that this browser reaches, also to
this machine. The guard refuses them by their ``Origin``; and where another site has given its own name this machine's
address (DNS rebinding), by their ``Host``.
"""

import base64
import re
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from std_web.metrics import WebMetrics
from std_web.problems import HttpProblem
from std_web.refusals import refuse
from std_web.token import AccessToken

SUBPROTOCOL = "std-daq"
"""WebSocket subprotocol of the page.

Beside it, ``bearer.`` and the token in base64url without padding (RFC 4648, 5) gives the token: a page can set no
header there, and the name of a subprotocol has fewer characters than a token may have.
"""

_BEARER = "bearer."
_HOST = re.compile(r"(\[[0-9A-Za-z:.%_~-]+\]|[^\s:/?#@\\\[\]]+)(?::[0-9]{0,5})?")
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_API_PATHS = ("/api/", "/writer/", "/daq/", "/simulation/", "/file/", "/older/")
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""What every answer tells browsers."""


@dataclass(frozen=True, slots=True)
class WebAccess:
    """Who may do what.

    Parameters
    ----------
    token
        The token that changes need; None: everybody may change something.
    reading_needs_token
        Whether requests that only read need the token as well.
    hosts
        Names by which this machine is called, in small letters, beside localhost and addresses in numbers.
    """

    token: AccessToken | None
    reading_needs_token: bool = False
    hosts: frozenset[str] = frozenset()

    def is_host(self, host: str) -> bool:
        """Return whether a header ``Host`` calls this machine by one of its names, or by an address in numbers."""
        name = _host_name(host)
        if name is None:
            return False
        return name == "localhost" or name in self.hosts or _is_address(name)

    def may_change(self, headers: Headers, subprotocols: list[str]) -> bool:
        """Return whether a request may change something."""
        if self.token is None:
            return True
        given = [_decoded(text.removeprefix(_BEARER)) for text in subprotocols if text.startswith(_BEARER)]
        return self.token.is_given(headers.get("authorization", "")) or any(map(self.token.is_same, given))


class Guard:
    """ASGI middleware that refuses requests which other sites have made, and adds the security headers to answers.

    Parameters
    ----------
    app
        Answers the other requests.
    access
        Who may do what.
    metrics
        Metrics of the service.
    """

    def __init__(self, app: ASGIApp, access: WebAccess, metrics: WebMetrics) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        secured = _secured(send, scope)
        problem = self._problem(scope, headers)
        if problem is None:
            scope.setdefault("state", {})["may_change"] = self._access.may_change(
                headers, scope.get("subprotocols", [])
            )
            problem = self._closed(scope)
        if problem is None:
            await self._app(scope, receive, secured)
            return
        self._metrics.refused.labels(problem.title).inc()
        await refuse(problem, scope, receive, secured)

    def _problem(self, scope: Scope, headers: Headers) -> HttpProblem | None:
        host = headers.get("host", "")
        if not self._access.is_host(host):
            return HttpProblem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "Unknown host",
                f"this machine is not known as '{host[:100]}'; add the name to services.web.hosts of the configuration",
            )
        is_websocket = scope["type"] == "websocket"
        if not is_websocket and scope["method"] in _SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is None:
            # Browsers send the header with all that is checked here; programs do not.
            is_foreign = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        else:
            is_foreign = origin.partition("://")[2].lower() != host.lower()
        if is_foreign:
            return HttpProblem(HTTPStatus.FORBIDDEN, "Foreign origin", "a page of another site has sent this request")
        return None

    def _closed(self, scope: Scope) -> HttpProblem | None:
        if not self._access.reading_needs_token or scope["state"]["may_change"]:
            return None
        return missing_token() if scope["path"].startswith(_API_PATHS) else None


def missing_token() -> HttpProblem:
    """Return the problem of a request without the right token."""
    return HttpProblem(
        HTTPStatus.UNAUTHORIZED,
        "Token needed",
        "send the token as 'Authorization: Bearer TOKEN', or as the password of the user 'std-daq'",
        headers={"WWW-Authenticate": 'Bearer realm="std-daq"'},
    )


def _require_token(request: Request) -> None:
    if not request.state.may_change:
        raise missing_token()


needs_token = Depends(_require_token)
"""Dependency of all routes that change something: ``@router.post(..., dependencies=[needs_token])``."""

TokenNeeded = Annotated[None, needs_token]


def _secured(send: Send, scope: Scope) -> Send:
    offered = scope.get("subprotocols", [])

    async def send_secured(message: Message) -> None:
        if message["type"] in _STARTS:
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            # The files of the page are asked for again each time, or a browser would mix those of two versions.
            is_api = scope["path"].startswith(_API_PATHS)
            headers.setdefault("Cache-Control", "no-store" if is_api else "no-cache")
        elif message["type"] == "websocket.accept" and SUBPROTOCOL in offered and not message.get("subprotocol"):
            message = {**message, "subprotocol": SUBPROTOCOL}
        await send(message)

    return send_secured


def _decoded(text: str) -> str:
    """Return the token of a subprotocol; what is no base64url gives the empty one, which no token is."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        return ""


def _host_name(host: str) -> str | None:
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").rstrip(".").lower() if found else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
