"""A console inside a test, and a client of it."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from std_web.app import WebSettings
from std_web.detectors import Console, watch
from std_web.guard import WebAccess
from std_web.limits import Bounds
from std_web.metrics import WebMetrics
from std_web.options import WebOptions
from std_web.token import AccessToken
from std_web.web_service import WebService

TOKEN = "a-token-of-the-tests"
_START_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


class RunningConsole:
    """A console that answers at a free port.

    Parameters
    ----------
    files
        Configurations of the detectors.
    access
        Who may do what; by default changes need `TOKEN`.
    options
        Bounds.
    """

    def __init__(self, *files: Path, access: WebAccess | None = None, options: WebOptions | None = None) -> None:
        chosen = (options or WebOptions()).model_copy(update={"port": 0})
        self.registry = CollectorRegistry()
        self.console = Console(watch(files), chosen)
        settings = WebSettings(
            console=self.console,
            access=access or WebAccess(AccessToken(TOKEN)),
            websockets=Bounds(chosen.max_websockets, chosen.max_websockets_of_client),
            metrics=WebMetrics(self.registry),
        )
        self.service = WebService(settings, chosen)
        self.url = self.service.url
        self.port = int(self.url.rpartition(":")[2])
        deadline = time.monotonic() + _START_S
        while not self.service.is_ready:
            if time.monotonic() > deadline:
                self.close()
                raise TimeoutError("the console has not started")
            self.service.step()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 20.0,
    ) -> Answer:
        """Send one request; a body that is not bytes is sent as JSON."""
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Answer:
        """Ask for a path."""
        return self.ask("GET", path, **options)

    def count(self, metric: str, **labels: str) -> float:
        """Return the value of a metric."""
        return self.registry.get_sample_value(metric, labels) or 0.0

    def close(self) -> None:
        """End the console."""
        self.service.close()


@contextmanager
def running_console(
    *files: Path, access: WebAccess | None = None, options: WebOptions | None = None
) -> Iterator[RunningConsole]:
    """Run a console for the time of the context."""
    console = RunningConsole(*files, access=access, options=options)
    try:
        yield console
    finally:
        console.close()
