"""ReceptionWatch: what the receivers of this server see while a run waits for images, in words."""

from collections.abc import Callable

from std_daq.imaging.reception import PortReception, describe_reception, since


class ReceptionWatch:
    """Compares what the receivers see with what they had seen when the run began.

    Parameters
    ----------
    read
        Returns what came on each port since its receiver was started; nothing if no receiver runs on this server.
    """

    def __init__(self, read: Callable[[], list[PortReception]]) -> None:
        self._read = read
        self._before: list[PortReception] = []

    def begin(self) -> None:
        """Begin a run: what was seen before does not count."""
        self._before = self._read()

    def describe(self) -> str:
        """Return what is wrong with the packets that came since the run began; empty if nothing is wrong."""
        return "; ".join(describe_reception(since(self._before, self._read())))
