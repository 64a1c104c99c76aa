"""A terminal with a screen, on which a command of a test runs."""

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from fcntl import ioctl
from termios import TIOCSWINSZ
from types import TracebackType
from typing import Any, Self

import pyte

TIMEOUT_S = 60.0
_ALTERNATE_SCREEN = 1049
# Python makes the terminal that of the new session, so that Ctrl-C reaches the command, and becomes the command.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
_OF_TERMINALS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class _Screen(pyte.Screen):
    """A screen that also has an alternate one, as terminals have: what was there before comes back."""

    _before: Any = None

    def set_mode(self, *modes: int, **settings: bool) -> None:
        super().set_mode(*modes, **settings)
        if _ALTERNATE_SCREEN in modes:
            self._before = deepcopy((self.buffer, self.cursor))
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **settings: bool) -> None:
        super().reset_mode(*modes, **settings)
        if _ALTERNATE_SCREEN in modes and self._before is not None:
            self.buffer, self.cursor = self._before
            self._before = None

    @property
    def is_alternate(self) -> bool:
        return self._before is not None


class Terminal:
    """A context manager that runs a command on a terminal; at its end the command has ended.

    Parameters
    ----------
    command
        The command and its arguments.
    columns, lines
        Size of the window.
    environment
        Variables beside those of the test, for example ``TERM``.
    """

    def __init__(self, command: Sequence[str], columns: int = 100, lines: int = 30, **environment: str) -> None:
        self._screen = _Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self.resize(columns, lines)
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_TERMINALS}
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _TAKE_TERMINAL, *command],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONIOENCODING": "utf-8"}
            | environment,
        )  # fmt: skip
        os.close(slave)
        self.output = b""

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without blanks at the ends of lines and without empty lines."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def colours(self) -> set[str]:
        """Colours of characters and of their backgrounds that stand on the screen."""
        cells = [cell for row in self._screen.buffer.values() for cell in row.values()]
        return {colour for cell in cells for colour in (cell.fg, cell.bg)} - {"default"}

    @property
    def is_given_back(self) -> bool:
        """Whether the screen is the usual one, and its cursor can be seen."""
        return not self._screen.is_alternate and not self._screen.cursor.hidden

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        self._screen.resize(lines, columns)
        ioctl(self._master, TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, *texts: str) -> list[str]:
        """Wait until all texts stand on the screen, also over the end of a line, and return the screen's lines."""
        deadline = time.monotonic() + TIMEOUT_S
        while not all(text in "".join(self._screen.display) for text in texts):
            if not self.read(deadline):
                raise AssertionError(f"{texts} did not come; the screen:\n" + "\n".join(self.lines))
        return self.lines

    def press_ctrl_c(self) -> None:
        """Type Ctrl-C."""
        os.write(self._master, b"\x03")

    def terminate(self) -> None:
        """Send SIGTERM to the command."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.read(deadline):
            pass
        return self._process.wait(max(deadline - time.monotonic(), 0.1))

    def read(self, deadline: float | None = None) -> bool:
        """Take what the command writes next; returns False once it has ended, or when time is over."""
        timeout_s = TIMEOUT_S if deadline is None else max(deadline - time.monotonic(), 0.0)
        if not select.select([self._master], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody has the other side open any more
            return False
        self.output += data
        self._stream.feed(data)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
