"""Waiting for what is still on its way when the last packet has been sent."""

import time
from collections.abc import Callable

SETTLE_S = 1.0
_LOOK_S = 0.02


def is_reached(goal: Callable[[], bool]) -> bool:
    """Wait until a goal is reached; returns whether it was, within a second."""
    deadline = time.monotonic() + SETTLE_S
    while not goal():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True
