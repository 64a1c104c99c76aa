"""An exposure that ends the assembler ends two of them, and no more; nonsense in a ring ends none."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from std_assembler.__main__ import start
from std_assembler.assembler import Assembler
from std_assembler.attempts import MAX_ATTEMPTS, Attempts
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config import DetectorConfig, parse_config
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.detectors.eiger.converter import EigerConverter
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.shm.segment import Segment
from std_test_kit.frames import FrameFeeder
from std_test_kit.services import service_context

POISON = 666
PIXELS = (1, 256, 512)

# An assembler whose converter dies of frames that begin with the pixel POISON, as compiled code does: without a word.
DYING = """
import os, signal, sys, threading
from std_assembler.__main__ import start
from std_daq.imaging.config.load import load_config
from std_daq.imaging.detectors.eiger.converter import EigerConverter
from std_test_kit.services import service_context

convert = EigerConverter.convert

def convert_or_die(self, module, frame, *others):
    if frame[:2].view("u2")[0] == 666:
        os.kill(os.getpid(), signal.SIGKILL)
    return convert(self, module, frame, *others)

EigerConverter.convert = convert_or_die
assembler = start(service_context(load_config(sys.argv[1])))
while assembler._images.journal.next_sequence < int(sys.argv[2]):
    assembler.step()
assembler.close()
"""


@pytest.fixture
def config(shm_dir: Path, runtime: Path, tmp_path: Path) -> DetectorConfig:
    return parse_config(
        {
            "detector_name": "eiger",
            "detector_type": "eiger",
            "n_modules": 1,
            "bit_depth": 16,
            "image_pixel_height": 256,
            "image_pixel_width": 514,
            "start_udp_port": 50000,
            "module_positions": {0: (0, 0, 513, 255)},
            "shared_memory": {"directory": str(shm_dir), "frame_slots": 32, "image_slots": 8},
        }
    )


@pytest.fixture
def feeder(config: DetectorConfig) -> Iterator[FrameFeeder]:
    feeder = FrameFeeder(config)
    yield feeder
    feeder.close()


def publish(feeder: FrameFeeder, number: int, *, is_poison: bool = False) -> None:
    feeder.publish(number, np.full(PIXELS, POISON if is_poison else number, np.uint16))


def published(config: DetectorConfig) -> list[int]:
    images = ImageBuffer.attach(image_buffer_path(config))
    ids: list[int] = images.journal.read(0, 1000).entries["id"].tolist()
    images.close()
    return ids


def step_until(assembler: Assembler, config: DetectorConfig, newest: int) -> list[int]:
    for _ in range(100):
        assembler.step()
        if newest in (ids := published(config)):
            return ids
    raise AssertionError(f"image {newest} was not published: {published(config)}")


@pytest.mark.long
def test_exposure_that_kills_the_process_kills_two_and_the_third_passes_it(
    config: DetectorConfig, feeder: FrameFeeder, tmp_path: Path
) -> None:
    for number in (1, 2, 3, 4):
        publish(feeder, number, is_poison=number == 3)
    path = tmp_path / "detector.json"
    path.write_text(config.model_dump_json(exclude_unset=True))
    run = [sys.executable, "-c", DYING, str(path), "3"]
    ends = [subprocess.run(run, check=False, timeout=120).returncode for _ in range(3)]
    assert ends == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert published(config) == [1, 2, 4]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the converter raise where frames begin with the pixel POISON."""
    convert = EigerConverter.convert

    def convert_or_raise(self: EigerConverter, module: int, frame: Any, *others: Any) -> bool:
        if frame[:2].view("u2")[0] == POISON:
            raise RuntimeError("a fault of the package of this detector")
        return convert(self, module, frame, *others)

    monkeypatch.setattr(EigerConverter, "convert", convert_or_raise)


@pytest.mark.usefixtures("raising")
def test_exposure_that_was_left_out_is_counted_and_told(config: DetectorConfig, feeder: FrameFeeder) -> None:
    later = list(range(3, 24))  # more than are read at once
    for number in (1, 2, *later):
        publish(feeder, number, is_poison=number == 2)
    for _ in range(MAX_ATTEMPTS):
        dying = start(service_context(config))
        with pytest.raises(RuntimeError):
            step_until(dying, config, later[-1])
        dying.close()
        assert published(config) == [1]
    context = service_context(config)
    with capture_logs() as told:
        assembler = start(context)
        assert step_until(assembler, config, later[-1]) == [1, *later]
    assert context.registry.get_sample_value("daq_assembler_exposures_lost_total") == 1
    assert [line["image_id"] for line in told if line["event"] == "exposure_left_out"] == [2]
    assembler.close()
    following = start(service_context(config))
    publish(feeder, 24)
    assert step_until(following, config, 24) == [1, *later, 24]
    following.close()


@pytest.mark.usefixtures("raising")
def test_exposure_behind_overwritten_ones_is_left_out_as_well(config: DetectorConfig, feeder: FrameFeeder) -> None:
    for number in range(1, 41):  # the ring has 32 slots
        publish(feeder, number, is_poison=number == 9)
    for _ in range(MAX_ATTEMPTS):
        dying = start(service_context(config))
        with pytest.raises(RuntimeError):
            step_until(dying, config, 40)
        dying.close()
    assembler = start(service_context(config))
    assert step_until(assembler, config, 40) == list(range(10, 41))
    assembler.close()


def test_attempts_count_for_one_exposure_only(config: DetectorConfig) -> None:
    images, _ = ImageBuffer.create(
        image_buffer_path(config), shape=(2, 2), dtype=np.dtype("u2"), n_modules=1, buffer_bytes=0, n_slots=4
    )
    journal = images.journal
    assert journal.in_hand() == (0, 0, 0)
    assert Attempts(journal).begin(journal, 2**32 - 1, 2**64 - 1)
    assert journal.in_hand() == (2**32 - 1, 2**64 - 1, 1)
    assert Attempts(journal).begin(journal, 2**32 - 1, 2**64 - 1)
    third = Attempts(journal)
    assert not third.begin(journal, 2**32 - 1, 2**64 - 1)
    assert third.begin(journal, 2**32 - 1, 2**64 - 1)  # after a restart of the detector's numbers it is another one
    fourth = Attempts(journal)
    assert fourth.begin(journal, 0, 7)
    assert Attempts(journal).begin(journal, 0, 8)
    assert journal.in_hand() == (0, 8, 1)
    del journal
    images.close()


NUMBERS = st.one_of(st.integers(0, 3), st.sampled_from([2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]))


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entries=st.lists(st.lists(NUMBERS, min_size=11, max_size=11), min_size=1, max_size=6), data=st.data())
def test_impossible_numbers_in_a_journal_end_no_assembler(
    config: DetectorConfig, feeder: FrameFeeder, entries: list[list[int]], data: st.DataObject
) -> None:
    journal = feeder.ring.journals[0]
    assembler = start(service_context(config))
    for numbers in entries:
        entry = np.zeros(1, RAW_METADATA)
        for name, number in zip(RAW_METADATA.names or (), numbers, strict=True):
            entry[name] = number % 2 ** (8 * RAW_METADATA[name].itemsize)
        sequence = journal.append(entry)
        if data.draw(st.booleans()):
            damaged = entry.copy()
            damaged["sequence"] = numbers[5]
            journal._entries[sequence % len(journal._entries)] = damaged[0]
    for _ in range(3):
        assembler.step()
    assembler.close()


def test_damaged_entry_is_counted_and_the_next_one_used(config: DetectorConfig, feeder: FrameFeeder) -> None:
    context = service_context(config)
    assembler = start(context)
    publish(feeder, 1)
    publish(feeder, 2)
    feeder.ring.journals[0]._entries["sequence"][0] = 2**64 - 1
    assert step_until(assembler, config, 2) == [2]
    assert context.registry.get_sample_value("daq_assembler_exposures_lost_total") == 1
    assembler.close()


@pytest.mark.parametrize(
    "text", [b"\xff", b"[1]", b'{"calibration": 5}', b'{"calibration": [{"index": "a"}, 7]}', b"[" * 4000]
)
def test_nonsense_in_the_notes_of_the_ring_does_not_hinder_the_start(
    config: DetectorConfig, feeder: FrameFeeder, text: bytes
) -> None:
    start(service_context(config)).close()
    segment = Segment.attach(image_buffer_path(config), is_writable=True)
    images = ImageBuffer.attach(image_buffer_path(config))
    at = images.geometry.offsets()["notes"]
    segment.bytes[at + 8 : at + 16].view(np.uint64)[0] = len(text)
    segment.bytes[at + 24 : at + 24 + len(text)] = np.frombuffer(text, np.uint8)
    images.close()
    segment.close()
    assembler = start(service_context(config))
    publish(feeder, 1)
    assert step_until(assembler, config, 1) == [1]
    assembler.close()
