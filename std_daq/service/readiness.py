"""Readiness: whether a service is ready, and why not; `run_service` updates it, and the endpoint reads it."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from std_daq.telemetry.documents import Document


@runtime_checkable
class TellsWhyNot(Protocol):
    """A service that can say why it is not ready."""

    @property
    def why_not_ready(self) -> str | None:
        """The reason in a few words, or None if the service is ready; read from another thread."""


@runtime_checkable
class OffersDocuments(Protocol):
    """A service that offers documents at its endpoint."""

    @property
    def documents(self) -> Mapping[str, Document]:
        """The documents by their paths, such as ``/runs``; read from other threads."""


class HasReadiness(Protocol):
    """A service that can say whether it is ready; every service can."""

    @property
    def is_ready(self) -> bool:
        """Whether the service does its work now; read from another thread."""


class Readiness:
    """The readiness of a process, which is not ready until its service has started.

    Parameters
    ----------
    reason
        Why the process is not ready yet.

    Attributes
    ----------
    service
        The service, which decides whether it is ready; None before it has started and while it closes.
    reason
        Why the process is not ready while ``service`` is None.
    """

    def __init__(self, reason: str = "it is starting") -> None:
        self.service: HasReadiness | None = None
        self.reason = reason

    def end(self) -> None:
        """Report from now on that the service is ending."""
        self.reason = "it is ending"
        self.service = None

    def why_not(self) -> str | None:
        """Return why the service is not ready, or None if it is ready."""
        service = self.service
        if service is None:
            return self.reason
        if isinstance(service, TellsWhyNot):
            return service.why_not_ready
        return None if service.is_ready else "the service does not do its work now; read its log for the reason"

    def document(self, path: str) -> Document | None:
        """Return a document of the service; None if it offers none of this path, or does not run now."""
        service = self.service
        return service.documents.get(path) if isinstance(service, OffersDocuments) else None
