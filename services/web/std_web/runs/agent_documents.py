"""AgentDocuments: what the writer agent of a detector offers at its endpoint, asked through its Unix socket."""

import http.client
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from std_daq.errors import ConfigError, ResourceError
from std_daq.service.record import endpoint_socket
from std_daq.telemetry.unix_http import UnixConnection
from std_web.detectors import WatchedDetector

INSTANCE = "writer-agent"
_TIMEOUT_S = 4.0
# Of the query in a URL; servers of Python take lines of 64 KiB.
_MAX_QUERY_BYTES = 60_000


class AgentAwayError(ResourceError):
    """The writer agent does not answer."""


class AgentDocuments:
    """Asks the writer agent of a detector; each call may take some seconds, and belongs into a thread.

    Parameters
    ----------
    detector
        The detector.
    """

    def __init__(self, detector: WatchedDetector) -> None:
        self._detector = detector

    def runs(self, *, search: str = "", before: str | None = None, limit: int | None = None) -> dict[str, Any]:
        """Return runs of the journal, newest first, as `std_writer_agent.run_history` describes.

        Raises
        ------
        AgentAwayError
            The agent does not answer.
        """
        query = {"search": search, "before": before, "limit": None if limit is None else str(limit)}
        return self._ask("/runs", query) or {"runs": [], "before": None}

    def run(self, request_id: str) -> dict[str, Any] | None:
        """Return all that the journal holds of one run; None if it does not know it.

        Raises
        ------
        AgentAwayError
            The agent does not answer.
        """
        return self._ask("/runs", {"id": request_id})

    def preview(self, request: str) -> dict[str, Any]:
        """Return what the agent would say to a request, given as JSON.

        Raises
        ------
        AgentAwayError
            The agent does not answer, or the request is too long to be asked about.
        """
        return self._ask("/preview", {"request": request}) or {}

    def _ask(self, path: str, query: dict[str, str | None]) -> dict[str, Any] | None:
        encoded = urlencode({name: value for name, value in query.items() if value})
        if len(encoded) > _MAX_QUERY_BYTES:
            raise AgentAwayError("the request is too long to be checked before it is sent")
        try:
            connection = UnixConnection(endpoint_socket(self._detector.config, INSTANCE), _TIMEOUT_S)
            try:
                connection.request("GET", f"{path}?{encoded}")
                answer = connection.getresponse()
                content = json.loads(answer.read())
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError, ConfigError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise AgentAwayError(
                f"the writer agent of {self._detector.name} does not answer ({reason}); is it running?"
            ) from None
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise AgentAwayError(f"the writer agent of {self._detector.name}: {content.get('reason', answer.status)}")
        return dict(content)
