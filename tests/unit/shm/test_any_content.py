"""A ring of something that has no pixels: events of different sizes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from std_daq.errors import SharedMemoryError
from std_daq.shm.ring import RingBuffer, RingGeometry, attach_ring

HEADER = np.dtype([("generation", "<u8"), ("event_id", "<u8"), ("n_bytes", "<u4"), ("n_boards", "<u4")])
ENTRY = np.dtype([("sequence", "<u8"), ("event_id", "<u8")])
GEOMETRY = RingGeometry(
    kind="events",
    n_slots=4,
    n_parts=1,
    data_bytes=10_000,
    header_bytes=HEADER.itemsize,
    n_journals=1,
    n_entries=16,
    entry_bytes=ENTRY.itemsize,
    attributes={},
)


def publish(ring: RingBuffer, event_id: int, content: bytes) -> None:
    sequence = ring.journals[0].next_sequence
    slot = sequence % ring.n_slots
    ring.begin(slot)
    ring.headers[slot]["event_id"] = event_id
    ring.headers[slot]["n_bytes"] = len(content)
    ring.data[slot, : len(content)] = np.frombuffer(content, np.uint8)
    ring.end(slot)
    entry = np.zeros(1, ENTRY)
    entry["event_id"] = event_id
    ring.journals[0].append(entry)


def test_events_of_different_sizes_are_read_as_they_were_written(shm_dir: Path) -> None:
    path = shm_dir / "chamber-events"
    owner, _ = RingBuffer.create_or_attach(path, GEOMETRY, HEADER, ENTRY, size_key="builder.ram_buffer_gb")
    contents = [bytes([event]) * size for event, size in enumerate((0, 1, 9_999, 10_000, 17, 4_096))]
    for event, content in enumerate(contents):
        publish(owner, event, content)
    reader = attach_ring(path, "events", lambda segment, geometry: RingBuffer(segment, geometry, HEADER, ENTRY))
    entries = reader.journals[0].read(0, 16).entries
    assert entries["event_id"].tolist() == list(range(len(contents)))
    for entry in entries[-reader.n_slots :]:
        slot = int(entry["sequence"]) % reader.n_slots
        generation = reader.generation(slot)
        assert reader.content(slot).tobytes() == contents[int(entry["event_id"])]
        assert reader.is_unchanged(slot, generation)
    reader.close()
    owner.close()


def test_size_that_is_torn_never_leads_out_of_the_part(shm_dir: Path) -> None:
    ring, _ = RingBuffer.create_or_attach(shm_dir / "ring", GEOMETRY, HEADER, ENTRY, size_key="builder.ram_buffer_gb")
    ring.headers[1]["n_bytes"] = 2**32 - 1
    assert len(ring.content(1)) == GEOMETRY.data_bytes
    ring.close()


def test_ring_that_does_not_fit_names_the_key_of_its_own_system(shm_dir: Path) -> None:
    too_large = replace(GEOMETRY, n_slots=10**10)
    with pytest.raises(SharedMemoryError, match=r"make builder\.ram_buffer_gb smaller"):
        RingBuffer.create_or_attach(shm_dir / "ring", too_large, HEADER, ENTRY, size_key="builder.ram_buffer_gb")
