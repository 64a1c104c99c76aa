"""Channel: connection to a receiver, independent of the kind of network."""

from typing import Protocol


class Tracker(Protocol):
    """Tells whether memory that is sent in place is still in use."""

    @property
    def done(self) -> bool:
        """Whether the network has read the memory."""


class Channel(Protocol):
    """Connection to a receiver."""

    @property
    def is_gone(self) -> bool:
        """Whether the connection to the receiver has ended."""

    @property
    def host(self) -> str:
        """Host of the receiver."""

    def keep(self) -> None:
        """Keep the place of the receiver before others, because it has a session."""

    def release(self) -> None:
        """Keep the place no longer."""

    def send(self, message: bytes) -> bool:
        """Queue a message, and return whether there was room for it."""

    def send_in_place(self, memory: memoryview) -> Tracker | None:
        """Queue memory that is read when it is sent; return None if there is no room."""

    def transmit(self) -> None:
        """Pass as much of the queue to the network as it takes."""
