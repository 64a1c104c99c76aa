"""Which cores a benchmark of receiving uses."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from std_daq.errors import ResourceError


def sender_and_receiver(cores: Sequence[int]) -> tuple[int, int]:
    """Return a core for the sender and one for the receiver; raises ResourceError if there are no two."""
    if len(cores) < 2:
        raise ResourceError("sender and receiver need a core each, and this process may use one only")
    return cores[0], cores[1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Let this thread run on one core, and whatever threads and processes it starts meanwhile."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
