import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_assembler import frame_source
from std_assembler.__main__ import start
from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config import DetectorConfig, ModuleRange, parse_config
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.detectors.interface import FrameConverter
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.shm.segment import Segment
from std_test_kit.frames import FrameFeeder
from std_test_kit.memory import growth_bytes
from std_test_kit.services import service_context

POSITIONS = {0: (0, 258, 513, 513), 1: (516, 258, 1029, 513), 2: (0, 255, 513, 0), 3: (516, 255, 1029, 0)}
ROWS_OF_A_PACKET = 4  # 4096 bytes of 512 pixels of 16 bits


def eiger(shm_dir: Path, **changes: Any) -> DetectorConfig:
    shared_memory = {"directory": str(shm_dir), "frame_slots": 16, "image_slots": 8, **changes.pop("shared_memory", {})}
    return parse_config(
        {
            "detector_name": "eiger",
            "detector_type": "eiger",
            "n_modules": 4,
            "bit_depth": 16,
            "image_pixel_height": 514,
            "image_pixel_width": 1030,
            "start_udp_port": 50000,
            "module_positions": POSITIONS,
            "shared_memory": shared_memory,
            **changes,
        }
    )


def jungfrau(shm_dir: Path, n_modules: int, **changes: Any) -> DetectorConfig:
    return parse_config(
        {
            "detector_name": "jungfrau",
            "detector_type": "jungfrau",
            "n_modules": n_modules,
            "bit_depth": 16,
            "image_pixel_height": 512 * n_modules,
            "image_pixel_width": 1024,
            "start_udp_port": 50000,
            "module_positions": {m: (0, 512 * m, 1023, 512 * m + 511) for m in range(n_modules)},
            "shared_memory": {"directory": str(shm_dir), "frame_slots": 16, "image_slots": 8},
            **changes,
        }
    )


def raw_frames(seed: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(1, 2**16, (4, 256, 512), dtype=np.uint16)


def expected_image(raw: NDArray[np.uint16], lost: dict[int, set[int]], fill: int = 0) -> NDArray[np.uint16]:
    """Place quarters the plain way: two chips 2 pixels apart, upside down where y1 < y0."""
    image = np.full((514, 1030), fill, np.uint16)
    for module, (x0, y0, _, y1) in POSITIONS.items():
        quarter = raw[module].copy()
        for packet in lost.get(module, set()):
            quarter[packet * ROWS_OF_A_PACKET : (packet + 1) * ROWS_OF_A_PACKET] = fill
        if y1 < y0:
            quarter = quarter[::-1]
        top = min(y0, y1)
        image[top : top + 256, x0 : x0 + 256] = quarter[:, :256]
        image[top : top + 256, x0 + 258 : x0 + 514] = quarter[:, 256:]
    return image


class Line:
    """A feeder, an assembler and a reader of what it publishes."""

    def __init__(self, config: DetectorConfig) -> None:
        self.config = config
        self.feeders = [FrameFeeder(config, part) for part in config.receivers]
        self.assembler = start(service_context(config))
        self.images = ImageBuffer.attach(image_buffer_path(config))

    def step_until(self, n_images: int) -> NDArray[Any]:
        for _ in range(200):
            if self.images.journal.next_sequence >= n_images:
                break
            self.assembler.step()
        return self.images.journal.read(0, 10_000).entries

    def pixels(self, sequence: int) -> NDArray[Any]:
        assert self.images.holds(sequence)
        return self.images.images[self.images.slot(sequence)]

    def missing(self, sequence: int) -> list[int]:
        missing: list[int] = self.modules(sequence)["missing_packets"].tolist()
        return missing

    def modules(self, sequence: int) -> NDArray[Any]:
        modules: NDArray[Any] = self.images.headers["modules"][self.images.slot(sequence)].copy()
        return modules

    def restart_assembler(self) -> None:
        self.assembler.close()
        self.assembler = start(service_context(self.config))

    def close(self) -> None:
        self.images.close()
        self.assembler.close()
        for feeder in self.feeders:
            feeder.close()


@pytest.fixture
def line(shm_dir: Path, runtime: Path) -> Iterator[Line]:
    opened = Line(eiger(shm_dir))
    yield opened
    opened.close()


@pytest.fixture
def line_of_two(shm_dir: Path, runtime: Path) -> Iterator[Line]:
    opened = Line(eiger(shm_dir, udp={"receivers": ["0-1", "2-3"]}))
    yield opened
    opened.close()


def test_exposures_become_images_byte_for_byte_and_in_order(line: Line) -> None:
    frames = {number: raw_frames(number) for number in (7, 8, 9)}
    for number, raw in frames.items():
        line.feeders[0].publish(number, raw)
    entries = line.step_until(3)
    assert entries["id"].tolist() == [7, 8, 9]
    assert entries["sequence"].tolist() == [0, 1, 2]
    assert entries["status"].tolist() == [0, 0, 0]
    assert (entries["height"][0], entries["width"][0], entries["dtype"][0]) == (514, 1030, 2)
    for sequence, raw in enumerate(frames.values()):
        np.testing.assert_array_equal(line.pixels(sequence), expected_image(raw, {}))
        assert line.missing(sequence) == [0, 0, 0, 0]


def test_an_interface_that_is_silent_takes_half_of_its_module(shm_dir: Path, runtime: Path) -> None:
    line = Line(jungfrau(shm_dir, n_modules=2, udp={"numinterfaces": 2}))
    raw = np.random.default_rng(0).integers(1, 2**16, (4, 256, 1024), dtype=np.uint16)
    fields = {submodule: {"pulse_id": 40 + submodule} for submodule in range(4)}
    line.feeders[0].publish(5, raw, fields=fields)
    line.feeders[0].publish(6, raw, fields=fields, absent={2})
    line.feeders[0].publish(7, raw, fields=fields, absent={2, 3})
    line.feeders[0].publish(8, raw, fields=fields, lost={0: {7}, 3: {1, 2}})
    entries = line.step_until(4)
    packets, modules = ImageStatus.MISSING_PACKETS, ImageStatus.MISSING_MODULES
    assert entries["status"].tolist() == [0, packets, packets | modules, packets]
    assert entries["n_missing_modules"].tolist() == [0, 0, 1, 0]
    assert [line.missing(sequence) for sequence in range(4)] == [[0, 0], [0, 64], [0, 128], [1, 2]]
    statuses = [line.modules(sequence)["status"].tolist() for sequence in range(4)]
    assert statuses == [[0, 0], [0, packets], [0, modules], [packets, packets]]
    assert line.modules(1)["pulse_id"].tolist() == [40, 43]
    whole = raw.reshape(1024, 1024)
    np.testing.assert_array_equal(line.pixels(0), whole)
    half = whole.copy()
    half[512:768] = 0
    np.testing.assert_array_equal(line.pixels(1), half)
    line.close()


def test_recording_word_of_more_than_32_bits_is_cut_off(line: Line) -> None:
    feeder = line.feeders[0]
    headers = [feeder.place(module, 7, raw) for module, raw in enumerate(raw_frames(1))]
    entry = np.zeros(1, RAW_METADATA)
    entry["id"] = entry["frame_index"] = 7
    entry["daq_rec"] = 2**40 + 5
    entry["first_arrival_ns"] = min(int(header["first_arrival_ns"][0]) for header in headers)
    entry["last_arrival_ns"] = max(int(header["last_arrival_ns"][0]) for header in headers)
    feeder.ring.journals[0].append(entry)
    assert line.step_until(1)["daq_rec"].tolist() == [5]


def test_what_the_packets_say_is_told_of_the_image_and_of_each_module(shm_dir: Path, runtime: Path) -> None:
    line = Line(jungfrau(shm_dir, n_modules=3, deactivate=[0]))
    raw = np.zeros((3, 512, 1024), np.uint16)
    fields = {m: {"pulse_id": 40 + m, "timestamp": 50 + m, "daq_rec": m << 8 | 0x1001} for m in range(3)}
    line.feeders[0].publish(5, raw, fields=fields)
    line.feeders[0].publish(6, raw, fields=fields, absent={1}, lost={2: {3, 4}})
    both = line.step_until(2)
    assert both["storage_cell"].tolist() == [1, 2]
    first, second = (line.modules(sequence) for sequence in range(2))
    assert [part["pulse_id"].tolist() for part in (first, second)] == [[0, 41, 42], [0, 0, 42]]
    assert first["timestamp"].tolist() == [0, 51, 52]
    assert first["daq_rec"].tolist() == [0, 0x1101, 0x1201]
    assert first["storage_cell"].tolist() == [0, 1, 2]
    assert first["frame_index"].tolist() == [0, 5, 5]
    assert first["status"].tolist() == [0, 0, 0]
    assert second["status"].tolist() == [0, ImageStatus.MISSING_MODULES, ImageStatus.MISSING_PACKETS]
    assert second["missing_packets"].tolist() == [0, 128, 2]
    assert second["frame_index"].tolist() == [0, 0, 6]
    line.close()


def test_frames_without_a_calibration_are_filled_and_flagged(shm_dir: Path, runtime: Path, tmp_path: Path) -> None:
    for name, n_planes, value in (("pedestal", 3, 1000), ("gain", 4, 2)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["gains"] = np.full((n_planes, 1024, 1024), value, np.float32)
            file["pixel_mask"] = np.zeros((1024, 1024), np.uint32)
    files = {f"{name}_file": str(tmp_path / f"{name}.h5") for name in ("pedestal", "gain")}
    line = Line(jungfrau(shm_dir, n_modules=2, detector={"conversion": "kev", "storage_cell": 15, **files}))
    raw = np.full((2, 512, 1024), 1100, np.uint16)
    for number, words in enumerate([(0xF00, 0xF00), (0xF00, 0xE00), (0xF01, 0xF00), (0, 1)]):
        line.feeders[0].publish(number, raw, fields={m: {"daq_rec": word} for m, word in enumerate(words)})
    assert line.step_until(4)["status"].tolist() == [0, *[ImageStatus.NOT_CALIBRATED] * 3]
    statuses = [line.modules(sequence)["status"].tolist() for sequence in range(4)]
    assert statuses == [[0, 0], [0, 64], [64, 0], [64, 64]]
    assert (line.pixels(1)[:512] == 50).all()
    assert np.isnan(line.pixels(1)[512:]).all()
    assert np.isnan(line.pixels(2)[:512]).all()
    line.close()


def test_missing_packets_are_filled_listed_and_flagged(line: Line) -> None:
    lost = {1: {0, 5, 63}, 2: {10}}
    line.feeders[0].publish(1, raw_frames(99))  # other pixels, which must not shine through
    line.feeders[0].publish(2, raw_frames(2), lost)
    entries = line.step_until(2)
    np.testing.assert_array_equal(line.pixels(1), expected_image(raw_frames(2), lost))
    assert line.missing(1) == [0, 3, 1, 0]
    assert entries["status"][1] == ImageStatus.MISSING_PACKETS
    assert entries["n_missing_packets"][1] == 4


def test_absent_module_is_filled_and_flagged_even_where_its_slot_holds_a_frame_of_this_number(line: Line) -> None:
    line.feeders[0].publish(5, raw_frames(1), epoch=0)
    line.step_until(1)
    line.feeders[0].publish(5, raw_frames(2), absent={3}, epoch=1)  # the detector restarted, module 3 did not
    entries = line.step_until(2)
    expected = expected_image(raw_frames(2), {3: set(range(64))})
    np.testing.assert_array_equal(line.pixels(1), expected)
    assert entries["status"][1] == ImageStatus.MISSING_PACKETS | ImageStatus.MISSING_MODULES
    assert entries["n_missing_modules"].tolist() == [0, 1]
    assert entries["epoch"].tolist() == [0, 1]
    assert line.missing(1) == [0, 0, 0, 64]


def test_fill_value_is_the_configured_one(shm_dir: Path, runtime: Path) -> None:
    line = Line(eiger(shm_dir, assembler={"fill_value": 65535}))
    line.feeders[0].publish(1, raw_frames(1), {0: {3}})
    line.step_until(1)
    np.testing.assert_array_equal(line.pixels(0), expected_image(raw_frames(1), {0: {3}}, fill=65535))
    line.close()


def test_module_that_is_off_is_filled_and_not_missed(shm_dir: Path, runtime: Path) -> None:
    line = Line(eiger(shm_dir, deactivate=[2]))
    line.feeders[0].publish(1, raw_frames(1))
    entries = line.step_until(1)
    np.testing.assert_array_equal(line.pixels(0), expected_image(raw_frames(1), {2: set(range(64))}))
    assert entries["status"][0] == ImageStatus.GOOD
    line.close()


def test_frames_overwritten_before_their_turn_are_never_shown_as_an_image(line: Line) -> None:
    for number in range(20):  # the FrameBuffer has 16 slots
        line.feeders[0].publish(number, raw_frames(number))
    entries = line.step_until(16)
    assert entries["id"].tolist() == list(range(4, 20))
    for sequence in range(8, 16):
        number = int(entries["id"][sequence])
        np.testing.assert_array_equal(line.pixels(sequence), expected_image(raw_frames(number), {}))


def test_overtaken_assembler_leaves_out_what_is_about_to_be_overwritten(line: Line) -> None:
    for number in range(40):
        line.feeders[0].publish(number, raw_frames(0))
    entries = line.step_until(12)
    assert entries["id"].tolist() == list(range(28, 40))  # three quarters of the FrameBuffer's slots


def test_exposure_that_a_killed_assembler_had_published_is_not_published_again(line: Line) -> None:
    line.feeders[0].publish(1, raw_frames(1))
    line.feeders[0].publish(2, raw_frames(2))
    line.step_until(2)
    ring, sequence = line.images.journal.resume_point(0)
    line.assembler.close()
    writable, _ = ImageBuffer.create(
        image_buffer_path(line.config),
        shape=line.config.image_shape,
        dtype=np.dtype("u2"),
        n_modules=4,
        buffer_bytes=0,
        n_slots=8,
    )
    writable.journal.set_resume_point(0, ring, sequence - 1)  # as if it was killed before it noted the second
    writable.close()
    line.assembler = start(service_context(line.config))
    line.feeders[0].publish(3, raw_frames(3))
    assert line.step_until(3)["id"].tolist() == [1, 2, 3]


def test_assembler_whose_ring_was_removed_ends(line: Line) -> None:
    removed = Segment.attach(image_buffer_path(line.config), is_writable=True)
    removed.remove()
    removed.close()
    with pytest.raises(SharedMemoryError, match="was removed"):
        line.assembler.step()


def test_window_of_waiting_exposures_fits_into_a_small_ring(shm_dir: Path, runtime: Path) -> None:
    line = Line(eiger(shm_dir, udp={"receivers": ["0-1", "2-3"]}, assembler={"receiver_timeout_s": 30.0}))
    for number in range(14):  # of 16 slots, and 64 exposures might wait
        line.feeders[0].publish(number, raw_frames(0))
    entries = line.step_until(2)
    assert entries["id"].tolist() == [0, 1]
    assert line.missing(0) == [0, 0, 64, 64]
    line.close()


def test_restarted_assembler_goes_on_where_the_last_one_stopped(line: Line) -> None:
    line.feeders[0].publish(1, raw_frames(1))
    line.feeders[0].publish(2, raw_frames(2))
    line.step_until(2)
    line.assembler.close()
    line.feeders[0].publish(3, raw_frames(3))
    line.assembler = start(service_context(line.config))
    line.feeders[0].publish(4, raw_frames(4))
    entries = line.step_until(4)
    assert entries["id"].tolist() == [1, 2, 3, 4]
    assert line.images.is_live


def test_what_was_received_before_the_first_start_is_still_assembled(shm_dir: Path, runtime: Path) -> None:
    config = eiger(shm_dir)
    feeder = FrameFeeder(config)
    feeder.publish(1, raw_frames(1))
    feeder.close()
    line = Line(config)
    assert line.step_until(1)["id"].tolist() == [1]
    line.close()


def test_what_was_received_long_before_the_first_start_is_of_another_measurement(
    shm_dir: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_source, "STALE_NS", 0)
    config = eiger(shm_dir)
    feeder = FrameFeeder(config)
    feeder.publish(1, raw_frames(1))
    feeder.close()
    line = Line(config)
    line.assembler.step()
    line.feeders[0].publish(2, raw_frames(2))
    assert line.step_until(1)["id"].tolist() == [2]
    line.close()


def test_slot_that_a_killed_assembler_left_unfinished_is_emptied(line: Line) -> None:
    line.feeders[0].publish(1, raw_frames(1))
    line.step_until(1)
    for slot in (0, 1):
        line.assembler._images.begin(slot)
    line.restart_assembler()
    assert not (line.images.generations % 2).any()
    assert not line.images.holds(0)
    line.feeders[0].publish(2, raw_frames(2))
    line.step_until(2)
    np.testing.assert_array_equal(line.pixels(1), expected_image(raw_frames(2), {}))


def test_exposure_of_two_receivers_waits_for_both(line_of_two: Line) -> None:
    line = line_of_two
    line.feeders[0].publish(1, raw_frames(1))
    line.assembler.step()
    assert line.images.journal.next_sequence == 0
    line.feeders[1].publish(1, raw_frames(1))
    line.step_until(1)
    np.testing.assert_array_equal(line.pixels(0), expected_image(raw_frames(1), {}))


def test_receivers_that_name_an_exposure_differently_are_flagged(line_of_two: Line) -> None:
    first, second = line_of_two.feeders
    first.publish(1, raw_frames(1))
    entry = first.ring.journals[0].read(0, 1).entries.copy()
    for module in (2, 3):
        second.place(module, 1, raw_frames(1)[module])
    entry["id"] = 999
    entry["last_arrival_ns"] = time.time_ns()
    second.ring.journals[2].append(entry)
    entries = line_of_two.step_until(1)
    assert entries["id"].tolist() == [1]
    assert entries["status"][0] == ImageStatus.ID_MISMATCH


def test_receiver_that_is_dead_delays_images_for_the_stated_time_only(shm_dir: Path, runtime: Path) -> None:
    line = Line(eiger(shm_dir, udp={"receivers": ["0-1", "2-3"]}, assembler={"receiver_timeout_s": 0.2}))
    line.feeders[0].publish(1, raw_frames(1))
    entries = line.step_until(1)
    assert entries["n_missing_modules"].tolist() == [2]
    assert line.missing(0) == [0, 0, 64, 64]
    everything = set(range(64))
    np.testing.assert_array_equal(line.pixels(0), expected_image(raw_frames(1), {2: everything, 3: everything}))
    line.close()


def test_modules_overwritten_before_their_turn_are_told_from_modules_that_never_came(line: Line) -> None:
    line.feeders[0].publish(1, raw_frames(1), absent={0})
    line.feeders[0].place(1, 17, raw_frames(1)[1])  # the same slot
    entries = line.step_until(1)
    everything = set(range(64))
    np.testing.assert_array_equal(line.pixels(0), expected_image(raw_frames(1), {0: everything, 1: everything}))
    assert entries["n_missing_modules"].tolist() == [1]
    assert entries["status"][0] == ImageStatus.MISSING_PACKETS | ImageStatus.MISSING_MODULES | ImageStatus.OVERWRITTEN


class Overtaken:
    """A converter that is so slow that the receiver overwrites one module's frame meanwhile."""

    def __init__(self, converter: FrameConverter, overwrite: Callable[[], object]) -> None:
        self.fill, self.fill_gaps = converter.fill, converter.fill_gaps
        self._converter = converter
        self._overwrite = overwrite

    def convert(self, module: int, *arguments: Any) -> bool:
        is_calibrated = self._converter.convert(module, *arguments)
        if module == 1:
            self._overwrite()
        return is_calibrated


def test_module_overwritten_while_it_is_converted_is_filled_and_flagged(line: Line) -> None:
    feeder = line.feeders[0]
    converter = Overtaken(line.assembler._converter, lambda: feeder.place(1, 17, raw_frames(17)[1]))
    line.assembler._converter = converter  # type: ignore[assignment]
    feeder.publish(1, raw_frames(1))
    entries = line.step_until(1)
    np.testing.assert_array_equal(line.pixels(0), expected_image(raw_frames(1), {1: set(range(64))}))
    assert line.missing(0) == [0, 64, 0, 0]
    assert entries["status"][0] == ImageStatus.MISSING_PACKETS | ImageStatus.OVERWRITTEN


def test_image_given_up_leaves_no_old_image_under_new_pixels(line: Line) -> None:
    feeder = line.feeders[0]
    for number in range(1, 9):  # all slots of the ImageBuffer
        feeder.publish(number, raw_frames(number))
    line.step_until(8)
    feeder.publish(9, raw_frames(9))
    for module in range(4):
        feeder.place(module, 25, raw_frames(25)[module])
    line.assembler.step()
    assert line.images.journal.next_sequence == 8
    assert not line.images.holds(0)
    assert line.images.holds(1)


def test_second_assembler_of_a_detector_is_refused(line: Line) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path\nfrom std_daq.shm.segment import Segment\n"
        "Segment.attach(Path(sys.argv[1]), is_writable=True).lock(0, 'the assembler')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(image_buffer_path(line.config))], capture_output=True, text=True, check=False
    )
    assert SharedMemoryError.__name__ in result.stderr


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_loss_leaves_every_other_pixel_right(line: Line, data: st.DataObject) -> None:
    packets = st.sets(st.integers(0, 63))
    lost = data.draw(st.dictionaries(st.integers(0, 3), packets, max_size=4))
    absent = data.draw(st.sets(st.integers(0, 3), max_size=3))
    sequence = line.images.journal.next_sequence
    line.feeders[0].publish(sequence + 1, raw_frames(sequence), lost, absent)
    line.step_until(sequence + 1)
    gone = lost | {module: set(range(64)) for module in absent}
    np.testing.assert_array_equal(line.pixels(sequence), expected_image(raw_frames(sequence), gone))
    assert line.missing(sequence) == [len(gone.get(module, ())) for module in range(4)]


def test_receivers_ranges_are_as_configured(shm_dir: Path) -> None:
    config = eiger(shm_dir, udp={"receivers": ["0-1", "2-3"]})
    assert config.receivers == [ModuleRange((0, 1)), ModuleRange((2, 3))]


@pytest.mark.long
def test_memory_does_not_grow_with_images(shm_dir: Path, runtime: Path) -> None:
    line = Line(eiger(shm_dir, n_modules=1, module_positions={0: POSITIONS[0]}))
    raw = raw_frames(1)
    numbers = itertools.count(1)

    def assemble_400() -> None:
        for number in itertools.islice(numbers, 400):
            line.feeders[0].publish(number, raw, {0: {number % 64}})
            line.assembler.step()

    try:
        # One small object an image would be more than 20,000.
        assert growth_bytes(assemble_400) < 12_000
    finally:
        line.close()
