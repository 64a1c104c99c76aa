import mmap
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.errors import ConfigError, SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.buffers.image_buffer import MIN_ENTRIES, ImageBuffer
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, dtype_code
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.shm.journal import Journal
from std_daq.shm.segment import Segment, SegmentState, list_segments

SHAPE = (8, 16)


def make(path: Path, n_slots: int = 4, shape: tuple[int, int] = SHAPE) -> tuple[ImageBuffer, bool]:
    return ImageBuffer.create(path, shape=shape, dtype=np.dtype("u2"), n_modules=3, buffer_bytes=0, n_slots=n_slots)


def publish(ring: ImageBuffer, image_id: int, value: int | None = None) -> int:
    sequence = ring.journal.next_sequence
    slot = ring.slot(sequence)
    ring.begin(slot)
    ring.images[slot] = image_id if value is None else value
    metadata = np.zeros(1, IMAGE_METADATA)
    metadata["id"] = image_id
    metadata["sequence"] = sequence
    metadata["height"], metadata["width"] = ring.shape
    metadata["dtype"] = dtype_code(ring.dtype)
    ring.headers["metadata"][slot] = metadata[0]
    ring.end(slot)
    return ring.journal.append(metadata)


def test_reader_attaches_by_name_alone_and_sees_what_was_published(shm_dir: Path) -> None:
    writer, is_new = make(shm_dir / "ring")
    reader = ImageBuffer.attach(shm_dir / "ring")
    publish(writer, 77)
    entries = reader.journal.read(0, 10).entries
    assert is_new
    assert (reader.shape, reader.dtype, reader.n_modules) == (SHAPE, np.dtype("u2"), 3)
    assert entries["id"].tolist() == [77]
    assert (reader.images[0] == 77).all()
    reader.close()
    writer.close()


def test_readers_mapping_cannot_be_written(shm_dir: Path) -> None:
    writer, _ = make(shm_dir / "ring")
    reader = ImageBuffer.attach(shm_dir / "ring")
    with pytest.raises(ValueError, match="read-only"):
        reader.images[0] = 1
    reader.close()
    writer.close()


def test_ring_is_for_user_and_group_only(shm_dir: Path) -> None:
    previous = os.umask(0)
    try:
        writer, _ = make(shm_dir / "ring")
    finally:
        os.umask(previous)
    assert (shm_dir / "ring").stat().st_mode & 0o777 == 0o660
    writer.close()


def test_generation_tells_that_a_slot_was_overwritten_under_the_reader(shm_dir: Path) -> None:
    writer, _ = make(shm_dir / "ring", n_slots=4)
    reader = ImageBuffer.attach(shm_dir / "ring")
    publish(writer, 1)
    generation = reader.generation(0)
    assert reader.is_unchanged(0, generation)
    for image_id in range(2, 6):
        publish(writer, image_id)
    assert not reader.is_unchanged(0, generation)
    assert not reader.holds(0)
    assert reader.holds(4)
    reader.close()
    writer.close()


def test_slot_that_is_being_written_is_never_taken_for_whole(shm_dir: Path) -> None:
    writer, _ = make(shm_dir / "ring")
    reader = ImageBuffer.attach(shm_dir / "ring")
    writer.begin(0)
    assert not reader.is_unchanged(0, reader.generation(0))
    writer.end(0)
    assert reader.is_unchanged(0, reader.generation(0))
    reader.close()
    writer.close()


def test_no_torn_image_passes_the_check_while_a_writer_hammers_the_ring(shm_dir: Path) -> None:
    writer, _ = make(shm_dir / "ring", n_slots=4, shape=(64, 256))
    reader = ImageBuffer.attach(shm_dir / "ring")
    publish(writer, 0)
    stop = threading.Event()

    def hammer() -> None:
        image_id = 1
        while not stop.is_set() and image_id < 100_000:
            publish(writer, image_id % 60_000)
            image_id += 1

    thread = threading.Thread(target=hammer)
    thread.start()
    n_whole = n_torn = 0
    for attempt in range(20_000):
        sequence = reader.journal.next_sequence - 1 - attempt % 4
        if sequence < 0:
            continue
        slot = reader.slot(sequence)
        generation = reader.generation(slot)
        copy = reader.images[slot].copy()
        if not reader.is_unchanged(slot, generation):
            n_torn += 1
            continue
        n_whole += 1
        assert (copy == copy[0, 0]).all()
        if n_whole > 3000 and n_torn > 10:
            break
    stop.set()
    thread.join()
    assert n_whole > 0
    reader.close()
    writer.close()


def test_restarted_owner_goes_on_with_the_same_ring_and_readers_survive(shm_dir: Path) -> None:
    first, _ = make(shm_dir / "ring")
    reader = ImageBuffer.attach(shm_dir / "ring")
    publish(first, 5)
    first.close()
    second, is_new = make(shm_dir / "ring")
    publish(second, 6)
    assert not is_new
    assert reader.is_live
    assert reader.journal.read(0, 10).entries["id"].tolist() == [5, 6]
    reader.close()
    second.close()


@pytest.mark.skipif(tuple(map(int, os.uname().release.split(".")[:2])) < (5, 14), reason="the kernel cannot prefault")
@pytest.mark.parametrize("is_taken_over", [False, True])
def test_owner_writes_its_ring_for_the_first_time_without_page_faults(shm_dir: Path, is_taken_over: bool) -> None:
    ring, _ = make(shm_dir / "ring", n_slots=16, shape=(512, 1024))
    if is_taken_over:
        ring.close()
        ring, is_new = make(shm_dir / "ring", n_slots=16, shape=(512, 1024))
        assert not is_new
    faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    ring.images[:] = 1
    faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - faults
    assert faults < ring.images.nbytes // mmap.PAGESIZE // 100
    ring.close()


def test_another_geometry_retires_the_old_ring_so_that_readers_notice(shm_dir: Path) -> None:
    first, _ = make(shm_dir / "ring")
    reader = ImageBuffer.attach(shm_dir / "ring")
    second, is_new = make(shm_dir / "ring", shape=(8, 32))
    assert is_new
    assert not reader.is_live
    assert reader.segment.info.state is SegmentState.RETIRED
    for ring in (reader, first, second):
        ring.close()


def test_slot_left_unfinished_by_a_killed_writer_is_emptied_at_its_next_start(shm_dir: Path) -> None:
    first, _ = make(shm_dir / "ring")
    publish(first, 9)
    first.begin(1)
    first.headers["metadata"][1]["id"] = 10
    first.close()
    second, _ = make(shm_dir / "ring")
    assert second.invalidate_unfinished() == 1
    assert second.generation(1) % 2 == 0
    assert second.headers["metadata"][1]["id"] == 0
    assert second.holds(0)
    second.close()


def test_slot_whose_image_was_given_up_holds_none(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    for image_id in range(4):
        publish(ring, image_id)
    ring.begin(0)
    ring.images[0] = 99
    ring.end(0)
    assert not ring.holds(0)
    ring.begin(1)
    assert ring.invalidate_unfinished() == 1
    assert [ring.holds(sequence) for sequence in range(4)] == [False, False, True, True]
    ring.close()


def test_slot_emptied_after_a_crash_is_not_taken_for_the_first_image(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    publish(ring, 1)
    ring.begin(0)
    ring.invalidate_unfinished()
    assert not ring.holds(0)
    ring.close()


def test_ring_that_is_written_is_not_replaced_by_one_of_another_geometry(shm_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from std_daq.shm.segment import Segment\n"
        "segment = Segment.attach(Path(sys.argv[1]), is_writable=True); segment.lock(2, 'a receiver')\n"
        "print('locked', flush=True); sys.stdin.read()\n"
    )
    ring, _ = make(shm_dir / "ring")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(shm_dir / "ring")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "locked\n"
        with pytest.raises(SharedMemoryError, match="another process writes here, with another geometry; stop it"):
            make(shm_dir / "ring", shape=(8, 32))
        assert ring.is_live
        writer.communicate("")
    other, is_new = make(shm_dir / "ring", shape=(8, 32))
    assert is_new
    assert not ring.is_live
    with pytest.raises(SharedMemoryError, match="was replaced"):
        ring.segment.lock(0, "a receiver")
    other.close()
    ring.close()


def test_ring_removed_without_a_word_is_noticed(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    reader = ImageBuffer.attach(shm_dir / "ring")
    assert reader.is_live
    (shm_dir / "ring").unlink()
    assert not reader.is_live
    reader.close()
    ring.close()


def test_memory_that_a_killed_owner_had_taken_is_released_by_the_next(shm_dir: Path) -> None:
    (shm_dir / ".ring.0123456789abcdef.making").write_bytes(b"unfinished")
    (shm_dir / ".ring.std-daq-lock").touch()
    ring, is_new = make(shm_dir / "ring")
    assert is_new
    assert [path.name for path in shm_dir.iterdir()] == ["ring"]
    ring.close()


def test_directory_in_which_nothing_can_be_made_is_named() -> None:
    with pytest.raises(SharedMemoryError, match=r"no ring can be created here.*shared_memory\.directory"):
        make(Path("/proc/ring"))


def test_second_writer_process_is_refused_with_the_reason(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    ring.segment.lock(0, "the assembler")
    assert "another process already writes here as the assembler" in try_to_lock(shm_dir / "ring")
    ring.close()


def try_to_lock(path: Path) -> str:
    """What another process that wants to write part 0 is told."""
    code = (
        "import sys; from pathlib import Path; from std_daq.shm.segment import Segment\n"
        "from std_daq.errors import SharedMemoryError\n"
        "try: Segment.attach(Path(sys.argv[1]), is_writable=True).lock(0, 'the assembler')\n"
        "except SharedMemoryError as error: print(error)\n"
    )
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("is_writable", [False, True])
def test_writer_keeps_its_lock_when_its_process_attaches_the_ring_again_and_closes_it(
    shm_dir: Path, is_writable: bool
) -> None:
    ring, _ = make(shm_dir / "ring")
    ring.segment.lock(0, "the assembler")
    Segment.attach(shm_dir / "ring", is_writable=is_writable).close()
    assert "another process already writes here as the assembler" in try_to_lock(shm_dir / "ring")
    ring.close()
    assert try_to_lock(shm_dir / "ring") == ""


def test_second_writer_of_the_same_process_is_refused(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    ring.segment.lock(0, "the assembler")
    second = Segment.attach(shm_dir / "ring", is_writable=True)
    with pytest.raises(SharedMemoryError, match="already writes here"):
        second.lock(0, "the assembler")
    second.lock(1, "another part")
    second.close()
    ring.close()


def test_looking_for_a_writer_takes_no_lock(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    looking = Segment.attach(shm_dir / "ring", is_writable=True)
    assert not looking.has_writer
    assert try_to_lock(shm_dir / "ring") == ""
    ring.segment.lock(0, "the assembler")
    assert looking.has_writer
    assert not ring.segment.has_writer
    looking.close()
    ring.close()


def test_too_small_a_directory_is_refused_with_numbers_and_remedy(shm_dir: Path) -> None:
    with pytest.raises(SharedMemoryError, match=r"GB are needed, .* free .*ram_buffer_gb.*RINGS_SIZE"):
        make(shm_dir / "ring", n_slots=10**9)
    assert list(shm_dir.iterdir()) == []


def test_memory_for_too_few_slots_names_the_key_and_what_is_needed(shm_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"ram_buffer_gb.*set it to") as caught:
        ImageBuffer.create(
            shm_dir / "ring", shape=(1000, 1000), dtype=np.dtype("u2"), n_modules=1, buffer_bytes=5_000_000
        )
    assert caught.value.key == "ram_buffer_gb"
    with pytest.raises(ConfigError, match=r"shared_memory.frame_buffer_gb"):
        FrameBuffer.create(shm_dir / "ring", n_modules=8, frame_bytes=2**20, n_units=128, buffer_bytes=10**6)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"STDDAQ\x00\x01" + b"\xff" * 8000, b"\x00" * 8192])
def test_foreign_file_is_refused_and_left_alone(shm_dir: Path, content: bytes) -> None:
    path = shm_dir / "ring"
    path.write_bytes(content)
    with pytest.raises(SharedMemoryError, match=str(path)):
        ImageBuffer.attach(path)
    with pytest.raises(SharedMemoryError, match="remove the file"):
        make(path)
    assert path.read_bytes() == content


def test_missing_ring_says_that_its_owner_may_not_run(shm_dir: Path) -> None:
    with pytest.raises(SharedMemoryError, match="is the service that owns it running"):
        ImageBuffer.attach(shm_dir / "nothing")


def test_ring_of_another_kind_is_refused(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    with pytest.raises(SharedMemoryError, match="contains images, not frames"):
        FrameBuffer.attach(shm_dir / "ring")
    ring.close()


def test_segments_are_listed_with_geometry_and_removed_ones_are_retired(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    (shm_dir / "foreign").write_text("something else")
    (info,) = list_segments(shm_dir)
    assert (info.path.name, info.creator_pid, info.geometry["kind"]) == ("ring", os.getpid(), "images")
    segment = Segment.attach(shm_dir / "ring", is_writable=True)
    segment.remove()
    segment.close()
    assert not ring.is_live
    assert list_segments(shm_dir) == []
    ring.close()


def test_notes_are_read_as_they_were_written_last(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    reader = ImageBuffer.attach(shm_dir / "ring")
    assert reader.read_notes() == {}
    ring.write_notes({"calibration": [1]})
    ring.write_notes({"calibration": [1, 2]})
    assert reader.read_notes() == {"calibration": [1, 2]}
    with pytest.raises(SharedMemoryError, match="do not fit"):
        ring.write_notes({"long": "x" * 100_000})
    reader.close()
    ring.close()


def test_resume_point_belongs_to_the_ring_that_it_names(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring")
    assert ring.journal.resume_point(3) == (0, 0)
    ring.journal.set_resume_point(3, ring=123, sequence=456)
    ring.close()
    again, _ = make(shm_dir / "ring")
    assert again.journal.resume_point(3) == (123, 456)
    assert again.journal.resume_point(2) == (0, 0)
    again.close()


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 50)), max_size=25))
def test_reader_gets_every_entry_once_in_order_or_is_told_how_many_are_gone(
    steps: list[tuple[int, int]],
) -> None:
    geometry_entries = 32
    entries = np.zeros(geometry_entries, IMAGE_METADATA)
    control = np.zeros(128, np.uint64)
    journal = Journal(entries, control)
    cursor = n_published = 0
    for n_new, limit in steps:
        for _ in range(n_new):
            entry = np.zeros(1, IMAGE_METADATA)
            entry["id"] = n_published
            journal.append(entry)
            n_published += 1
        part = journal.read(cursor, limit)
        expected_lost = max(0, n_published - geometry_entries + 1 - cursor)
        assert part.n_lost == expected_lost
        first = cursor + expected_lost
        assert part.entries["id"].tolist() == list(range(first, min(n_published, first + limit)))
        cursor = first + len(part.entries)


class OvertakenEntries:
    """Entries of a journal whose writer goes on while they are copied."""

    def __init__(self, n: int) -> None:
        self.entries = np.zeros(n, IMAGE_METADATA)
        self.while_copied: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self.entries)

    def __setitem__(self, index: int, entry: np.void) -> None:
        self.entries[index] = entry

    def __getitem__(self, index: Any) -> Any:
        while self.while_copied:
            self.while_copied.pop()()
        return self.entries[index]


@pytest.mark.parametrize(("n_more", "n_lost"), [(0, 1), (1, 2), (5, 6), (31, 32), (500, 32)])
def test_entries_that_are_replaced_while_they_are_copied_are_lost_and_counted(n_more: int, n_lost: int) -> None:
    entries = OvertakenEntries(32)
    journal = Journal(entries, np.zeros(128, np.uint64))  # type: ignore[arg-type]

    def publish_some(n: int) -> None:
        for _ in range(n):
            entry = np.zeros(1, IMAGE_METADATA)
            entry["id"] = journal.next_sequence
            journal.append(entry)

    publish_some(32)
    entries.while_copied = [lambda: publish_some(n_more)]
    part = journal.read(0, 1000)
    assert part.n_lost == n_lost
    assert part.entries["id"].tolist() == list(range(n_lost, 32))


def test_journal_remembers_more_images_than_the_ring_holds(shm_dir: Path) -> None:
    ring, _ = make(shm_dir / "ring", n_slots=4)
    for image_id in range(50):
        publish(ring, image_id)
    part = ring.journal.read(0, 100)
    assert part.entries["id"].tolist() == list(range(50))
    assert [ring.holds(sequence) for sequence in range(50)] == [False] * 46 + [True] * 4
    assert ring.geometry.n_entries >= MIN_ENTRIES
    ring.close()


def test_frame_is_found_only_whole_and_of_the_exposure(shm_dir: Path) -> None:
    ring, _ = FrameBuffer.create(
        shm_dir / "frames", n_modules=2, frame_bytes=5000, n_units=4, buffer_bytes=0, n_slots=8
    )
    exposure = np.zeros(1, RAW_METADATA)
    exposure["first_arrival_ns"], exposure["last_arrival_ns"] = 100, 200
    assert ring.locate(exposure, 1) is None
    ring.begin(1)
    header = ring.header(1)
    header["first_arrival_ns"], header["n_received_packets"] = 150, 4
    assert ring.locate(exposure, 1) is None
    generation = ring.end(1)
    assert ring.locate(exposure, 1) == (1, generation)
    for field, other in (("first_arrival_ns", 99), ("first_arrival_ns", 201), ("frame_index", 8)):
        kept = int(header[field][0])
        header[field] = other
        assert ring.locate(exposure, 1) is None
        header[field] = kept
    assert ring.locate(exposure, 0) is None
    ring.close()


def test_frames_of_one_exposure_lie_side_by_side_for_all_modules(shm_dir: Path) -> None:
    ring, _ = FrameBuffer.create(
        shm_dir / "frames", n_modules=3, frame_bytes=5000, n_units=100, buffer_bytes=0, n_slots=8
    )
    assert [ring.index(9, module) for module in range(3)] == [3, 4, 5]
    assert ring.frame(3).shape == (5000,)
    assert ring.headers["received"].shape == (24, 2)
    assert ring.headers.dtype.itemsize % 64 == 0
    addresses = [ring.frame(index).ctypes.data % 4096 for index in range(24)]
    assert addresses == [addresses[0]] * 24 == [0] * 24
    ring.close()
