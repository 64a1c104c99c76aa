"""Turns: what has come from several hosts, taken from each in turn. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """A short queue for each host. Whoever takes gets one item of each host in turn: none keeps another from it.

    Parameters
    ----------
    hosts
        Names of the hosts.
    depth
        How many items of each host may wait.
    """

    def __init__(self, hosts: Iterable[str], depth: int) -> None:
        self._depth = depth
        self._queues: dict[str, deque[Item]] = {host: deque() for host in hosts}

    def is_full(self, host: str) -> bool:
        """Return whether nothing more of a host can wait."""
        return len(self._queues[host]) >= self._depth

    def put(self, host: str, item: Item) -> None:
        """Add an item of a host."""
        self._queues[host].append(item)

    def take(self) -> Item | None:
        """Return the oldest item of the host whose turn it is; None if nothing waits."""
        for host, queue in self._queues.items():
            if queue:
                item = queue.popleft()
                self._queues[host] = self._queues.pop(host)  # goes to the end of the line
                return item
        return None
