"""Drawing: what draws into a recording of Rerun, and can be sent to another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rerun import RecordingStream


class Drawing(Protocol):
    """Something to draw. It is pickled on its way to the process that holds the connection to a viewer."""

    def draw(self, recording: RecordingStream) -> None:
        """Log entities, or a blueprint, into a recording."""


def why_not_drawn(drawing: Drawing, recording: RecordingStream) -> str | None:
    """Draw into a recording; return None, or why that is not possible.

    Drawings may be of other packages, and raise whatever they like. One that is wrong must keep no other from being
    drawn: it would be there again after a restart.
    """
    try:
        drawing.draw(recording)
    except Exception as error:  # noqa: BLE001 - the one guard of all drawings
        return f"{type(error).__name__}: {error}"
    return None
