"""ConsoleClient: asks a console, std-web, over HTTP."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from std_daq.errors import ConsoleError

TIMEOUT_S = 10.0
_MAX_TOKEN_BYTES = 4096
_MAX_PROBLEM_BYTES = 65_536
# From a server of JupyterHub, a proxy in between may answer for the console with these while it is away.
_AWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


@dataclass(frozen=True, slots=True)
class ConsoleAnswer:
    """An answer of a console.

    Attributes
    ----------
    status
        HTTP status: 200, or 304 if nothing is newer than what was seen.
    headers
        Its headers; their names are in small letters.
    body
        Its content.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConsoleClient:
    """A client for what a console tells of one detector.

    Parameters
    ----------
    url
        URL of the console, such as ``http://daq-server:5000``; behind a proxy with its path.
    detector
        Name of the detector.
    token_file
        File with the token, for a console with ``reading_needs_token``. It is read at each request, and so never part
        of a notebook.

    Raises
    ------
    ConsoleError
        ``url`` is not the URL of a console.
    """

    def __init__(self, url: str, detector: str, token_file: Path | str | None = None) -> None:
        self.url = url.rstrip("/")
        self.detector = detector
        self._token_file = None if token_file is None else Path(token_file)
        try:
            parts = urlsplit(self.url)
            is_right = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query
            is_right = is_right and (parts.port or 1) > 0
            has_secret = "@" in parts.netloc
        except ValueError:
            is_right, has_secret = False, "@" in url
        if has_secret:  # it is shown with each error, and kept in the notebook
            raise ConsoleError("the URL of a console holds no user and no token: give token_file")
        if not is_right:
            raise ConsoleError(f"{url!r} is not the URL of a console; it looks like http://daq-server:5000")

    def get(
        self, path: str, query: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
    ) -> ConsoleAnswer:
        """Ask for a path below that of the detector, such as ``/image``.

        Raises
        ------
        ConsoleError
            The console gives no answer, or refuses.
        """
        address = f"{self.url}/api/v1/detectors/{quote(self.detector, safe='')}{path}"
        if query:
            address += f"?{urlencode(query)}"
        request = Request(address, headers=dict(headers or {}))  # noqa: S310 - the scheme is checked
        if self._token_file is not None:
            # Not handed on to where the answer may point.
            request.add_unredirected_header("Authorization", f"Bearer {self._token()}")
        try:
            with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - the scheme is checked
                return ConsoleAnswer(response.status, _small(response.headers), response.read())
        except HTTPError as error:
            with error:
                if error.code == HTTPStatus.NOT_MODIFIED:
                    return ConsoleAnswer(error.code, _small(error.headers), b"")
                raise ConsoleError(self._refusal(error)) from None
        except URLError as error:
            raise ConsoleError(
                f"{self.url} gives no answer: {_reason(error.reason)}; does std-web run there?"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise ConsoleError(f"{self.url} gives no answer: {_reason(error)}; does std-web run there?") from None

    def document(self, path: str = "", query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Ask for a path, and return the document there; errors as of `get`."""
        answer = self.get(path, query)
        try:
            document = json.loads(answer.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ConsoleError(f"{self.url} is no console: its answer is not a document")
        return document

    def _token(self) -> str:
        assert self._token_file is not None  # noqa: S101 - for the type checker
        try:
            with self._token_file.open("rb") as opened:
                token = opened.read(_MAX_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConsoleError(f"{self._token_file}: the token cannot be read: {_reason(error)}") from None
        if not token.isprintable() or len(token.split()) != 1:  # an error of http.client would show it
            raise ConsoleError(f"{self._token_file}: the token is one word; the file has something else")
        return token

    def _refusal(self, error: HTTPError) -> str:
        """Return what a refusal says, which is a problem document of RFC 9457."""
        if error.code in _AWAY:
            return f"{self.url} gives no answer: {error.code} {error.reason}; does std-web run there?"
        try:
            problem = json.loads(error.read(_MAX_PROBLEM_BYTES))
            text = str(problem.get("detail") or problem["title"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError, TypeError):
            text = f"{error.code} {error.reason}"
        if error.code == HTTPStatus.UNAUTHORIZED:
            return f"{self.url} wants a token: give token_file, a file with the token of the console"
        return f"{self.url}: {text}"


def _small(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _reason(error: object) -> str:
    """Return why, without the number that the operating system gives it."""
    return (getattr(error, "strerror", None) or str(error)) or type(error).__name__
