"""What a demo does, and how long each step of it takes."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.status import Status


@contextlib.contextmanager
def step(console: Console, what: str) -> Iterator[Status]:
    """Tell what a step does when it begins, on a terminal with a spinner; and how long it took when it is done.

    Yields
    ------
    The spinner, whose text may be changed meanwhile.
    """
    started_s = time.monotonic()
    if not console.is_terminal:
        console.print(f"demo: {what} ...", soft_wrap=True, highlight=False)
    with console.status(what) as status:
        yield status
    console.print(f"demo: {what}: {time.monotonic() - started_s:.1f} s", soft_wrap=True, highlight=False)
