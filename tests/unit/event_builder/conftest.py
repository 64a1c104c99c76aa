"""A builder service within the test: real sockets, a real ring, its steps called by the test."""

import argparse
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from std_daq.config.paths import make_runtime_dir
from std_daq.service import ServiceContext
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.electronics import Board
from std_daq.tpc.events.event import Event
from std_daq.tpc.events.event_reader import EventReader
from std_event_builder.__main__ import start
from std_test_kit.tpc_exporters import ScriptedExporter, message_of

WAIT_S = 30.0


class Rig:
    """A service with its exporters, and a reader of its events."""

    def __init__(self, document: dict[str, Any], exporters: list[ScriptedExporter]) -> None:
        self.config = TpcConfig.model_validate(document)
        self.exporters = exporters
        make_runtime_dir(self.config)
        self.registry = CollectorRegistry()
        self.stop = threading.Event()
        context = ServiceContext(self.config, argparse.Namespace(), "event-builder", self.registry, self.stop)
        self.service = start(context)
        self.reader = EventReader(self.config)
        self.events: list[Event] = []

    def connect(self) -> None:
        """Step until all exporters have their client."""
        self.step_until(lambda: all(exporter.accept() for exporter in self.exporters) and self.n_connected)

    @property
    def n_connected(self) -> bool:
        return sum(self.value("daq_builder_connected", exporter=one.address) for one in self.exporters) == len(
            self.exporters
        )

    def step_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"{len(self.events)} events have come"
            self.service.step()
            while (event := self.reader.next(0)) is not None:
                self.events.append(event)

    def wait_for_events(self, n: int) -> list[Event]:
        self.step_until(lambda: len(self.events) >= n)
        return self.events

    def send(self, exporter: int, *events: int, boards: list[Board], run: int = 0) -> None:
        """Send the frames of some boards for some events."""
        self.exporters[exporter].send(b"".join(message_of(one, board, run) for one in events for board in boards))

    def value(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, (name, labels)
        return value

    def outcomes(self, exporter: int = 0) -> dict[str, int]:
        """Return how many frames of an exporter had each outcome, without zeros."""
        address = self.exporters[exporter].address
        found = {
            sample.labels["outcome"]: int(sample.value)
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "daq_builder_frames_total" and sample.labels["exporter"] == address
        }
        assert set(found) == {"used", "duplicate", "late", "unexpected", "damaged", "topology"}
        return {outcome: n for outcome, n in found.items() if n}

    def close(self) -> None:
        self.reader.close()
        with suppress(AttributeError):
            self.service.close()


NUMBERS = itertools.count()


@pytest.fixture
def open_rig(shm_dir: Path, runtime: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []
    exporters: list[ScriptedExporter] = []

    def open_it(n_exporters: int = 1, boards: list[Board] | str = "topology", **builder: Any) -> Rig:
        ours = [ScriptedExporter() for _ in range(n_exporters)]
        exporters.extend(ours)
        document = {
            "detector_name": f"chamber{next(NUMBERS)}",
            "detector_type": "get-tpc",
            "exporters": [exporter.address for exporter in ours],
            "pads": {"electronics": None},
            "boards": boards,
            "builder": {"ram_buffer_gb": 0.15, **builder},
            "shared_memory": {"directory": str(shm_dir)},
            "runtime_dir": str(runtime),
        }
        rigs.append(Rig(document, ours))
        return rigs[-1]

    yield open_it
    for rig in rigs:
        rig.close()
    for exporter in exporters:
        exporter.close()
