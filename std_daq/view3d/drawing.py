"""Drawing: what draws into a recording of Rerun, and can be sent to another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rerun import RecordingStream


class Drawing(Protocol):
    """Something to draw. It is pickled on its way to the process that holds the connection to a viewer."""

    def draw(self, recording: RecordingStream) -> None:
        """Log entities, or a blueprint, into a recording."""
