"""FairQueue: takes one request of each client in turn, so that none waits behind all requests of another."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items of several clients; each client's own items keep their order."""

    def __init__(self) -> None:
        self._first: deque[Item] = deque()
        self._of_clients: OrderedDict[bytes, deque[Item]] = OrderedDict()
        self._n_items = 0

    def __len__(self) -> int:
        return self._n_items + len(self._first)

    def put(self, client: bytes, item: Item) -> None:
        """Add an item of a client."""
        self._of_clients.setdefault(client, deque()).append(item)
        self._n_items += 1

    def put_back(self, item: Item) -> None:
        """Add an item that was taken before; it comes ahead of all others."""
        self._first.append(item)

    def peek(self) -> Item:
        """Return the item that `take` would return; raises IndexError if there is none."""
        if self._first:
            return self._first[0]
        if not self._of_clients:
            raise IndexError("the queue is empty")
        return next(iter(self._of_clients.values()))[0]

    def take(self) -> Item:
        """Remove and return the next item; raises IndexError if there is none."""
        if self._first:
            return self._first.popleft()
        if not self._of_clients:
            raise IndexError("the queue is empty")
        client, items = next(iter(self._of_clients.items()))
        item = items.popleft()
        self._n_items -= 1
        if items:
            self._of_clients.move_to_end(client)
        else:
            del self._of_clients[client]
        return item
