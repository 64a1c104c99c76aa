"""SimulatedDevice: a simulated ZED-F9T behind a pseudo-terminal, to which a link with a name of its own leads."""

import os
import select
import time
import tty
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from std_daq.errors import PortError
from std_daq.telescope.ubx.simulated_chip import SimulatedF9t

_N_READ_BYTES = 65536


class SimulatedDevice:
    """A pseudo-terminal behind which a chip answers.

    Parameters
    ----------
    chip
        The chip.
    link
        Path at which programs open it.

    Raises
    ------
    PortError
        The link cannot be made.
    """

    def __init__(self, chip: SimulatedF9t, link: Path) -> None:
        self._chip = chip
        self._link = link
        # The end of the programs stays open here: else the first one that closes it would end the terminal.
        self._own_end, self._their_end = os.openpty()
        try:
            tty.setraw(self._their_end)
            os.set_blocking(self._own_end, False)
            if link.is_symlink():
                link.unlink()
            link.symlink_to(os.ttyname(self._their_end))
        except OSError as error:
            os.close(self._own_end)
            os.close(self._their_end)
            raise PortError(f"the link {link} cannot be made: {error.strerror}") from None
        self._next_epoch_s = time.monotonic() + chip.epoch_s

    def step(self, timeout_s: float = 0.1) -> None:
        """Answer what has come, and send what is due; waits for at most a while."""
        wait_s = min(timeout_s, max(0.0, self._next_epoch_s - time.monotonic()))
        if select.select([self._own_end], [], [], wait_s)[0]:
            self._send(self._chip.feed(os.read(self._own_end, _N_READ_BYTES)))
        now_s = time.monotonic()
        if now_s >= self._next_epoch_s:
            self._next_epoch_s = max(self._next_epoch_s, now_s - self._chip.epoch_s) + self._chip.epoch_s
            self._send(self._chip.next_epoch())

    def close(self) -> None:
        """Unplug it: programs that have it open notice, and the link is gone."""
        with suppress(FileNotFoundError):
            if self._link.is_symlink():
                self._link.unlink()
        os.close(self._their_end)
        os.close(self._own_end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, data: bytes) -> None:
        # Nobody may read: then the line is full, and what does not fit is lost, as a chip loses it.
        with suppress(BlockingIOError):
            os.write(self._own_end, data)
