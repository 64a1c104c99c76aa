"""Waiting for something outside the test to become true."""

import time
from collections.abc import Callable

_LOOK_S = 0.1


def wait_until(
    condition: Callable[[], bool],
    timeout_s: float,
    describe: Callable[[], str] = lambda: "the condition did not come true",
) -> None:
    """Look until a condition is true; raises TimeoutError with the description."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{describe()} (after {timeout_s:g} s)")
        time.sleep(_LOOK_S)
