"""PrefixedRecording: a recording in which all entities lie below one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rerun import RecordingStream


class PrefixedRecording:
    """Takes what drawings log, and puts it below an entity.

    There is no blueprint: its views would show the entities without the prefix.

    Parameters
    ----------
    recording
        Where it goes.
    prefix
        Path of the entity.
    """

    def __init__(self, recording: RecordingStream, prefix: str) -> None:
        self._recording = recording
        self._prefix = prefix.strip("/")

    def log(self, entity_path: str, entity: Any, *, static: bool = False) -> None:
        """Log below the prefix."""
        below = entity_path.strip("/")
        self._recording.log(f"/{self._prefix}/{below}" if below else f"/{self._prefix}", entity, static=static)

    def set_time(self, timeline: str, *, sequence: int) -> None:
        """Set the time of what is logged next."""
        self._recording.set_time(timeline, sequence=sequence)

    def send_blueprint(self, blueprint: Any) -> None:
        """Leave the arrangement of views to the user."""
