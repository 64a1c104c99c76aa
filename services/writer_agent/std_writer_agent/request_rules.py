"""RequestRules: what may be asked of a system that records images, or events."""

from typing import Protocol

from std_daq.recording.requests import WriteRequest


class RequestRules(Protocol):
    """The rules of a system for write requests."""

    image_bytes: int
    """Size of an image without compression; 0 if it is not known before, as that of an event."""

    def check(self, request: WriteRequest) -> None:
        """Raise RequestRefusedError if the system has no such files; the text is the reason."""
