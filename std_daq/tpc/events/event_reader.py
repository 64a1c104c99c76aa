"""EventReader: reads the events of a chamber while it takes data, for example in a notebook.

::

    from std_daq.client import EventReader

    with EventReader("tpc.json") as events:
        for event in events:
            print(event.id, event.is_complete, event.traces.shape)

The builder never waits for a reader. A reader that falls behind loses the oldest events, and `EventReader.lost` tells
which.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from std_daq.config.platform import PlatformConfig
from std_daq.config.system import load_any_config
from std_daq.reading.entry_reader import EntryReader, Start
from std_daq.reading.missing_entry import MissingEntry
from std_daq.tpc.events.event import Event
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.events.paths import event_buffer_path, events_address

__all__ = ["EventReader", "MissingEvent", "Start"]


@dataclass(frozen=True, slots=True)
class MissingEvent(MissingEntry):
    """Stands for an event that is not in the ring; its truth value is False."""

    noun: ClassVar[str] = "event"


class EventReader(EntryReader[Event, MissingEvent]):
    """Reads the events of one chamber; a context manager, and an iterator over new events.

    Parameters
    ----------
    source
        The configuration of the chamber, the path of its ``tpc.json``, or the path of its ring. A path that ends with
        ``.json`` is a configuration. The path of a ring does not tell its doorbell, so the reader then looks for new
        events 100 times a second.
    start, copy, timeout_s
        As for every `EntryReader`. The id of an event is looked for in the newest run.

    Raises
    ------
    ConfigError
        The configuration cannot be read.
    SharedMemoryError
        The file is not a ring of events, or permissions are missing; all methods that look for events raise it, too.
    """

    def __init__(
        self,
        source: PlatformConfig | Path | str,
        *,
        start: Start = "now",
        copy: bool = True,
        timeout_s: float | None = None,
    ) -> None:
        config = _config_of(source)
        path = Path(str(source)) if config is None else event_buffer_path(config)
        super().__init__(
            partial(EventBuffer.attach, path),
            None if config is None else events_address(config),
            MissingEvent,
            start=start,
            copy=copy,
            timeout_s=timeout_s,
        )


def _config_of(source: PlatformConfig | Path | str) -> PlatformConfig | None:
    """Return the configuration of a source, or None if the source is a ring."""
    if isinstance(source, PlatformConfig):
        return source
    return load_any_config(source) if Path(source).suffix == ".json" else None
