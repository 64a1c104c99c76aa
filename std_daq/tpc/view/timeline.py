"""The timeline of events."""

from typing import Final

EVENT_TIME: Final = "event_time"
"""Timeline: a number for each event of all runs, ascending."""

RUN_STEP: Final = 10_000_000_000
"""Larger than any event id, and easy to read: event 17 of run 3 is at 30000000017."""

_END_OF_TIMES = 2**63


def event_time(epoch: int, event_id: int) -> int:
    """Return the place of an event on `EVENT_TIME`: its id in the first run, and runs do not lie over each other."""
    return (epoch * RUN_STEP + event_id) % _END_OF_TIMES
