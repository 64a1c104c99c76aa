"""Readiness: whether a service does its work now, and why not; kept by its life, asked by its endpoint."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class TellsWhyNot(Protocol):
    """A service that can say what it waits for."""

    @property
    def why_not_ready(self) -> str | None:
        """The reason in a few words, None when it is ready; asked from another thread."""


class HasReadiness(Protocol):
    """What every service can say."""

    @property
    def is_ready(self) -> bool:
        """Whether it does its work now; asked from another thread."""


class Readiness:
    """Begins with a service that is starting.

    Parameters
    ----------
    reason
        Why it is not ready yet.

    Attributes
    ----------
    service
        The service that is asked, once it has started.
    reason
        Why it is not ready while there is none to ask.
    """

    def __init__(self, reason: str = "it is starting") -> None:
        self.service: HasReadiness | None = None
        self.reason = reason

    def end(self) -> None:
        """Ask the service no more: it is closing."""
        self.reason = "it is ending"
        self.service = None

    def why_not(self) -> str | None:
        """Return why the service is not ready, None when it is."""
        service = self.service
        if service is None:
            return self.reason
        if isinstance(service, TellsWhyNot):
            return service.why_not_ready
        return None if service.is_ready else "it does not do its work now; its log tells more"
