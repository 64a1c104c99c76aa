"""A sender and a receiver of one process, step by step, with a network in between that does as it is told."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.protocols.image_metadata import dtype_code
from std_daq.imaging.protocols.replication import Hello, ImageForm, Point, Share, Start
from std_daq.streams.tcp.authority import CA_FILE, Authority, Part
from std_daq.streams.tcp.identity import TlsFiles, TlsIdentity
from std_stream_recv.link import Link
from std_stream_recv.metrics import ReceiverMetrics
from std_stream_recv.plan import LinkPlan
from std_stream_recv.publisher import ImagePublisher
from std_stream_recv.receiver import StreamReceiver
from std_stream_send.metrics import SenderMetrics
from std_stream_send.sender import StreamSender
from std_test_kit.far_reader import FarReader
from std_test_kit.memory_network import MemoryNetwork, ReadableDescriptor
from std_test_kit.relayed_network import RelayedNetwork
from std_test_kit.store_driver import N_MODULES, RingPublisher

TIMEOUT_S = 1.0
ALL = Share()


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class SilentBell:
    """Counts what is published."""

    def __init__(self) -> None:
        self.n_rung = 0

    def ring(self, entry: NDArray[Any]) -> None:
        self.n_rung += 1


class TwoServers:
    """A near ring, its sender, a network, a receiver and the far ring."""

    def __init__(
        self,
        folder: Path,
        *,
        shape: tuple[int, int] = (4, 8),
        near_slots: int = 16,
        far_slots: int = 64,
        credit: int = 4,
        n_links: int = 1,
        share: Share = ALL,
        start: Start = Start.OLDEST,
        queue_messages: int = 8,
        has_tcp: bool = False,
        identities: tuple[TlsIdentity, TlsIdentity] | None = None,
    ) -> None:
        self.near_path, self.far_path = folder / "near", folder / "far"
        self.shape, self.near_slots, self.far_slots = shape, near_slots, far_slots
        self.credit, self.n_links, self.share, self.start = credit, n_links, share, start
        self.has_tcp = has_tcp
        self.clock = Clock()
        self.network: Any = (
            RelayedNetwork(TIMEOUT_S, self.clock, identities) if has_tcp else MemoryNetwork(queue_messages)
        )
        self.publisher = self.make_near_ring()
        self.registry = CollectorRegistry()
        self.sender = self.make_sender()
        self.receiver, self.far_ring = self.make_receiver()
        self.reader = FarReader(self.far_path)
        self.n_published = 0

    def make_near_ring(self, shape: tuple[int, int] | None = None) -> RingPublisher:
        return RingPublisher(self.near_path, shape=shape or self.shape, n_slots=self.near_slots)

    def make_sender(self) -> StreamSender:
        return StreamSender(
            detector_name="EG",
            router=self.network.open(),
            doorbell=ReadableDescriptor(),  # type: ignore[arg-type]
            attach=partial(ImageBuffer.attach, self.near_path),
            metrics=SenderMetrics(CollectorRegistry(), "stream-send-0"),
            timeout_s=TIMEOUT_S,
            clock=self.clock,
        )

    def make_receiver(self) -> tuple[StreamReceiver, ImageBuffer]:
        ring, _ = ImageBuffer.create(
            self.far_path,
            shape=self.shape,
            dtype=np.dtype("u2"),
            n_modules=N_MODULES,
            buffer_bytes=0,
            n_slots=self.far_slots,
        )
        ring.invalidate_unfinished()
        self.registry = CollectorRegistry()
        metrics = ReceiverMetrics(self.registry)
        publisher = ImagePublisher(ring, SilentBell(), metrics)
        links = [
            Link(self.plan(i), self.network.connect, publisher.write_notes, self.clock) for i in range(self.n_links)
        ]
        receiver = StreamReceiver(
            ring=ring,
            publisher=publisher,
            links=links,
            metrics=metrics,
            timeout_s=TIMEOUT_S,
            close_bell=lambda: None,
            clock=self.clock,
        )
        return receiver, ring

    def plan(self, source: int) -> LinkPlan:
        hello = Hello("EG", "far", self.share.part(source, self.n_links), Point(), self.start, self.credit)
        form = ImageForm(*self.shape, dtype_code(np.dtype("u2")), N_MODULES)
        return LinkPlan(source, ["tcp://a:1", "tcp://b:1"], hello, form, self.far_slots, TIMEOUT_S)

    def publish(self, n_images: int = 1) -> None:
        for _ in range(n_images):
            self.publisher.publish(self.n_published)
            self.n_published += 1

    def step(self, n_messages: int = 10**9) -> None:
        """Let both sides do what they can, and some messages through."""
        self.sender.step()
        self.network.deliver(n_messages)
        self.receiver.step()
        self.reader.read()

    def settle(self, n_entries: int | None = None) -> None:
        """Let everything through until all that is published has come over."""
        wanted = self.n_published if n_entries is None else n_entries
        self.settle_until(lambda: len(self.reader.ids) >= wanted)

    def settle_until(self, is_done: Callable[[], bool]) -> None:
        """Let everything through until something is so."""
        for _ in itertools.repeat(None, 2000):
            if is_done():
                return
            self.step()
            self.clock.now += 0.01
        raise AssertionError(f"{len(self.reader.ids)} of {self.n_published} entries came over")

    def replace_near_ring(self) -> None:
        """Make a new near ring in place of the old one."""
        self.publisher.close()
        self.publisher = self.make_near_ring()

    def kill_receiver(self) -> None:
        """Leave the far ring as it is, and begin with another receiver."""
        for link in self.receiver._links:
            if link.connection is not None:
                link.connection.close()
        self.far_ring.close()
        self.receiver, self.far_ring = self.make_receiver()

    def restart_sender(self) -> None:
        self.sender.close()
        self.sender = self.make_sender()

    def value(self, name: str) -> float:
        value = self.registry.get_sample_value(name)
        assert value is not None, name
        return value

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.network.close if self.has_tcp else self.network.readable.close)
            stack.callback(self.publisher.close)
            stack.callback(self.reader.close)
            stack.callback(self.sender.close)
            stack.callback(self.receiver.close)


MakeServers = Callable[..., TwoServers]


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> tuple[TlsIdentity, TlsIdentity]:
    """Return the identities of the near and of the far server."""
    authority = Authority(folder := tmp_path_factory.mktemp("certificates"))
    authority.make()
    near = TlsFiles(folder / CA_FILE, *authority.issue("127.0.0.1", Part.SERVER, days=1), key="near")
    far = TlsFiles(folder / CA_FILE, *authority.issue("far", Part.CLIENT, days=1), key="far")
    return TlsIdentity(near, is_server=True), TlsIdentity(far, is_server=False)


@pytest.fixture
def open_servers(shm_dir: Path) -> Callable[..., Any]:
    """Makes a pair of servers for a context, in a folder of its own: ``with open_servers(near_slots=8) as servers``."""
    numbers = itertools.count()

    @contextmanager
    def open_them(**options: Any) -> Iterator[TwoServers]:
        (folder := shm_dir / f"context-{next(numbers)}").mkdir()
        servers = TwoServers(folder, **options)
        try:
            yield servers
        finally:
            servers.close()
            shutil.rmtree(folder)

    return open_them


@pytest.fixture
def make_servers(shm_dir: Path) -> Iterator[MakeServers]:
    """Makes a pair of servers: ``make_servers(near_slots=8)``."""
    made: list[TwoServers] = []

    def make(**options: Any) -> TwoServers:
        (folder := shm_dir / str(len(made))).mkdir()
        made.append(TwoServers(folder, **options))
        return made[-1]

    yield make
    while made:
        made.pop().close()  # and let go of all that looks into the rings
