"""MemoryNetwork: the network between a Router and its Dealers, in memory, where the test decides what gets through."""

import itertools
import os
from collections import deque
from dataclasses import dataclass, field
from typing import Self


class ReadableDescriptor:
    """A descriptor that is always readable, so that whoever polls it does not wait."""

    def __init__(self) -> None:
        self._fd = os.eventfd(1)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def wait(self, timeout_s: float) -> bool:
        """Return at once, as a doorbell that has been rung."""
        return timeout_s >= 0

    @property
    def socket(self) -> Self:
        """What a poller takes."""
        return self

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)


@dataclass(slots=True)
class MemoryTracker:
    """Tells whether memory that is sent in place has been taken."""

    done: bool = False


@dataclass(slots=True)
class _Wire:
    """One connection: what is on its way to the dealer, and what has come."""

    queue_messages: int
    outgoing: deque[tuple[bytes | memoryview, MemoryTracker | None]] = field(default_factory=deque)
    incoming: deque[bytes] = field(default_factory=deque)
    is_up: bool = True


class MemoryNetwork:
    """Stands for a `TcpRouter` on one side, and for what makes a `TcpDealer` on the other.

    Memory that is sent in place is read when it is delivered, not when it is sent.

    Parameters
    ----------
    queue_messages
        How many messages may wait for a dealer.
    """

    n_refused = 0

    def __init__(self, queue_messages: int = 8) -> None:
        self._queue_messages = queue_messages
        self._identities = itertools.count(1)
        self._wires: dict[bytes, _Wire] = {}
        self._requests: deque[tuple[bytes, bytes]] = deque()
        self._readable = ReadableDescriptor()
        self.is_listening = True

    @property
    def sockets(self) -> list[ReadableDescriptor]:
        """For the poller of the router's owner."""
        return [self._readable]

    @property
    def readable(self) -> ReadableDescriptor:
        """A descriptor that is always readable."""
        return self._readable

    def receive(self) -> tuple[bytes, bytes] | None:
        """Return an identity and its message, as the router does."""
        return self._requests.popleft() if self._requests else None

    def peer(self, identity: bytes) -> "MemoryPeer":
        """Return the way to a dealer."""
        return MemoryPeer(self._wires.get(identity))

    def connect(self, address: str) -> "MemoryConnection":
        """Return a dealer; all addresses lead to the one router."""
        return MemoryConnection(self, address)

    def deliver(self, n_messages: int = 10**9) -> int:
        """Let messages come through to the dealers; returns how many did."""
        n_delivered = 0
        for wire in self._wires.values():
            while wire.outgoing and n_delivered < n_messages:
                message, tracker = wire.outgoing.popleft()
                wire.incoming.append(bytes(message))
                if tracker is not None:
                    tracker.done = True
                n_delivered += 1
        return n_delivered

    def cut(self) -> None:
        """End all connections; what is on its way is lost. Dealers connect again by themselves, as others."""
        for wire in self._wires.values():
            wire.is_up = False
            for _, tracker in wire.outgoing:
                if tracker is not None:
                    tracker.done = True
            wire.outgoing.clear()
        self._wires.clear()
        self._requests.clear()

    def close(self) -> None:
        """End the router; dealers may still be there, and a new router be made of it by `open`."""
        self.cut()
        self.is_listening = False

    def open(self) -> Self:
        """Listen again."""
        self.is_listening = True
        return self

    def join(self, wire: _Wire | None) -> tuple[bytes, _Wire]:
        """Connect a dealer; what had come over its former wire is still there."""
        identity = next(self._identities).to_bytes(4, "big")
        joined = _Wire(self._queue_messages, incoming=deque() if wire is None else wire.incoming)
        self._wires[identity] = joined
        return identity, joined

    def request(self, identity: bytes, message: bytes) -> None:
        """Take a dealer's message."""
        self._requests.append((identity, message))

    def leave(self, identity: bytes) -> None:
        """Forget a dealer."""
        wire = self._wires.pop(identity, None)
        if wire is not None:
            wire.is_up = False


class MemoryPeer:
    """The router's way to one dealer."""

    def __init__(self, wire: _Wire | None) -> None:
        self._wire = wire

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        return self._wire is None or not self._wire.is_up

    @property
    def host(self) -> str:
        """All dealers are on one host."""
        return "memory"

    def keep(self) -> None:
        """Do nothing: there is room for all."""

    def release(self) -> None:
        """Do nothing: there is room for all."""

    def send(self, message: bytes) -> bool:
        """Queue a message, if there is room."""
        return self._queue(message, None)

    def send_in_place(self, memory: memoryview) -> MemoryTracker | None:
        """Queue memory that is read when it is delivered."""
        tracker = MemoryTracker()
        return tracker if self._queue(memory, tracker) else None

    def transmit(self) -> None:
        """Do nothing: what is queued is delivered when the test says so."""

    def _queue(self, message: bytes | memoryview, tracker: MemoryTracker | None) -> bool:
        wire = self._wire
        if wire is None or not wire.is_up or len(wire.outgoing) >= wire.queue_messages:
            return False
        wire.outgoing.append((message, tracker))
        return True


class MemoryConnection:
    """A dealer."""

    failure = ""

    def __init__(self, network: MemoryNetwork, address: str) -> None:
        self._network = network
        self.address = address
        self._identity = b""
        self._wire: _Wire | None = None

    @property
    def socket(self) -> ReadableDescriptor:
        """What a poller takes."""
        return self._network.readable

    def send(self, message: bytes) -> None:
        """Send a message; it is lost where nobody listens."""
        if self._wire is None or not self._wire.is_up:
            if not self._network.is_listening:
                return
            self._identity, self._wire = self._network.join(self._wire)
        self._network.request(self._identity, message)

    def receive(self) -> bytes | None:
        """Return the next message that has come."""
        return self._wire.incoming.popleft() if self._wire is not None and self._wire.incoming else None

    def receive_into(self, memory: memoryview) -> int | None:
        """Put the next message into memory."""
        message = self.receive()
        if message is None:
            return None
        n_bytes = min(len(memory), len(message))
        memory[:n_bytes] = message[:n_bytes]
        return len(message)

    def close(self, linger_s: float = 0.0) -> None:
        """End the connection."""
        self._network.leave(self._identity)
        self._wire = None
