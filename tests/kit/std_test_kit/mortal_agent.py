"""A writer agent that kills itself at one of its effects.

``python -m std_test_kit.mortal_agent RECORD MOMENT POINT --config FILE``: `RECORD` is a file to which the name of each
effect is added before it is done. At the effect with the number `POINT`, counted from 0, the process ends by SIGKILL,
``before`` or ``after`` it is done (`MOMENT`). With the point -1 it is not killed.

Effects are all that others see of the agent, and what it keeps: `EFFECTS`. They are real; only the moment of death is
chosen.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import IO, Any

from std_daq.recording.fence import Fence
from std_daq.recording.request_channel import RequestConsumer
from std_daq.recording.status_channel import StatusPublisher
from std_daq.streams.queue import PushQueue
from std_writer_agent.__main__ import main
from std_writer_agent.file_claims import FileClaims
from std_writer_agent.journal import RequestJournal

EFFECTS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (
        RequestJournal,
        (
            "add",
            "add_refused",
            "start",
            "keep_report",
            "end",
            "mark_published",
            "add_kill",
            "take_in_hand",
            "put_down",
        ),
    ),
    (RequestConsumer, ("accept", "refuse")),
    (StatusPublisher, ("publish",)),
    (PushQueue, ("push",)),
    (FileClaims, ("take", "release")),
    (Fence, ("give_up",)),
)


class Death:
    """Ends the process at an effect."""

    def __init__(self, record: IO[str], moment: str, point: int) -> None:
        self._record = record
        self._moment = moment
        self._point = point
        self._n = 0
        self._lock = threading.Lock()

    def threaten(self, owner: type, name: str) -> None:
        """Count the calls of a method as effects."""
        method: Callable[..., Any] = getattr(owner, name)

        @wraps(method)
        def do(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                n, self._n = self._n, self._n + 1
                self._record.write(f"{owner.__name__}.{name}\n")
                self._record.flush()
            self._strike("before", n)
            result = method(*arguments, **options)
            self._strike("after", n)
            return result

        setattr(owner, name, do)

    def _strike(self, moment: str, n: int) -> None:
        if n == self._point and moment == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with open(sys.argv[1], "a") as record:  # noqa: PTH123 - the path is a text here
        death = Death(record, sys.argv[2], int(sys.argv[3]))
        for owner, names in EFFECTS:
            for name in names:
                death.threaten(owner, name)
        sys.exit(main(sys.argv[4:]))
