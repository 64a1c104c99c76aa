"""Channel: the way to a receiver, whatever the network is."""

from typing import Protocol


class Tracker(Protocol):
    """Tells what became of memory that is sent in place."""

    @property
    def done(self) -> bool:
        """Whether it has been read."""


class Channel(Protocol):
    """The way to a receiver."""

    @property
    def is_gone(self) -> bool:
        """Whether the receiver cannot be reached any more."""

    def send(self, message: bytes) -> bool:
        """Queue a message; returns whether there was room."""

    def send_in_place(self, memory: memoryview) -> Tracker | None:
        """Queue memory that is read later; None where there is no room."""

    def transmit(self) -> None:
        """Hand over to the network what it takes of what is queued."""
