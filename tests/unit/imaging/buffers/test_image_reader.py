import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.config.paths import make_runtime_dir
from std_daq.errors import ConfigError, SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_reader import ImageReader, MissingImage, Start
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.paths import image_buffer_path, images_address
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, ImageStatus
from std_daq.reading.journal_search import Fate
from std_daq.streams.doorbell import DoorbellPublisher
from std_test_kit.store_driver import RingPublisher, pixels_of

N_SLOTS = 8
SHAPE = (64, 128)
DOCUMENT = {
    "detector_name": "cam",
    "detector_type": "jungfrau",
    "n_modules": 2,
    "bit_depth": 16,
    "image_pixel_height": 1024,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}

Open = Callable[..., ImageReader]


@pytest.fixture
def path(shm_dir: Path) -> Path:
    return shm_dir / "cam-images"


@pytest.fixture
def publisher(path: Path) -> Iterator[RingPublisher]:
    with closing(RingPublisher(path, n_slots=N_SLOTS)) as publisher:
        yield publisher


@pytest.fixture
def open_reader(path: Path) -> Iterator[Open]:
    readers: list[ImageReader] = []

    def open_it(**options: Any) -> ImageReader:
        readers.append(ImageReader(path, **options))
        return readers[-1]

    yield open_it
    for reader in readers:
        reader.close()


def publish(publisher: RingPublisher, *ids: int) -> None:
    for image_id in ids:
        publisher.publish(image_id)


def publish_entry(publisher: RingPublisher, image_id: int, epoch: int = 0) -> None:
    """Publish what was lost on its way to this server, or is of another epoch: an entry without an image."""
    entry = np.zeros(1, IMAGE_METADATA)
    entry["id"], entry["epoch"] = image_id, epoch
    ring = publisher.ring
    slot = ring.slot(ring.journal.next_sequence)
    ring.begin(slot)
    ring.end(slot)
    ring.journal.append(entry)


def read_all(reader: ImageReader) -> list[int]:
    """Return the ids of all images that are there, each of which must be as it was published."""
    ids = []
    while (image := reader.next(timeout_s=0.0)) is not None:
        check(image)
        ids.append(image.id)
    return ids


def check(image: Image) -> None:
    assert np.array_equal(image.pixels, pixels_of(image.id, image.pixels.shape, image.pixels.dtype))


# -- what an image tells


def test_image_tells_what_is_known_of_it(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 5, 6)
    good, incomplete = open_reader(start="oldest"), open_reader(start=6)
    image = good.next(0.0)
    assert image is not None
    assert (image.id, image.sequence, image.pulse_id, image.frame_index) == (5, 0, 1005, 2005)
    assert (image.first_arrival_ns, image.last_arrival_ns) == (3005, 0)
    assert (image.status, image.is_good) == (ImageStatus.GOOD, True)
    assert (image.pixels.shape, image.pixels.dtype) == (SHAPE, np.dtype("u2"))
    assert (image.metadata.height, image.metadata.width) == SHAPE
    assert repr(image) == "<Image 5: 64 x 128 uint16, GOOD>"
    image = incomplete.next(0.0)
    assert image is not None
    assert (image.status, image.is_good) == (ImageStatus.MISSING_PACKETS, False)
    assert image.missing_packets.tolist() == [0, 3]
    assert image.metadata.n_missing_packets == 3


def test_calibration_is_that_of_the_metadata(publisher: RingPublisher, open_reader: Open) -> None:
    publisher.publish(1, calibration=259)
    image = open_reader().newest(0.0)
    assert image is not None
    assert image.calibration == image.metadata.calibration == 259


def test_copy_stays_as_it_is_when_the_ring_is_written_and_removed(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1)
    reader = open_reader(start="oldest")
    image = reader.next(0.0)
    assert image is not None
    publish(publisher, *range(2, 20))
    reader.close()
    publisher.ring.segment.remove()
    assert image.is_copy
    assert image.is_intact()
    check(image)
    image.pixels[:] = 0  # it is the user's own


def test_image_in_place_tells_afterwards_that_it_was_overwritten(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1)
    image = open_reader(start="oldest", copy=False).next(0.0)
    assert image is not None
    assert not image.is_copy
    assert not image.pixels.flags.owndata
    check(image)
    assert image.is_intact()
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1
    publish(publisher, *range(2, 2 + N_SLOTS))
    assert not image.is_intact()
    assert image.copy() is None
    assert image.id == 1


def test_image_in_place_is_overwritten_from_the_first_byte_on(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1)
    image = open_reader(start="oldest", copy=False).next(0.0)
    assert image is not None
    publisher.ring.begin(0)
    assert not image.is_intact()
    publisher.ring.end(0)
    assert not image.is_intact()


def test_image_in_place_outlives_its_reader(publisher: RingPublisher, path: Path) -> None:
    publish(publisher, 1)
    with ImageReader(path, start="oldest", copy=False) as reader:
        image = reader.next(0.0)
    assert image is not None
    check(image)
    assert image.is_intact()
    publish(publisher, *range(2, 2 + N_SLOTS))
    assert not image.is_intact()


def test_copies_go_into_an_array_that_is_used_again(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1, 2)
    reader = open_reader(start="oldest", copy=False)
    out = np.empty(SHAPE, np.uint16)
    for image_id in (1, 2):
        view = reader.next(0.0)
        assert view is not None
        image = view.copy(out)
        assert image is not None
        assert image.pixels is out
        assert image.id == image_id
        check(image)
    with pytest.raises(TypeError, match="Cannot cast"):
        view.copy(np.empty(SHAPE, np.float32))


# -- in order


@pytest.mark.parametrize(("start", "expected"), [("now", [4, 5]), ("oldest", [0, 1, 2, 3, 4, 5]), (2, [2, 3, 4, 5])])
def test_reading_begins_where_it_is_asked_to(
    publisher: RingPublisher, open_reader: Open, start: Start, expected: list[int]
) -> None:
    publish(publisher, *range(4))
    reader = open_reader(start=start)
    publish(publisher, 4, 5)
    assert read_all(reader) == expected
    assert reader.lost.n == 0


@pytest.mark.parametrize("start", ["now", "oldest", 0])
def test_of_a_ring_that_comes_later_all_images_are_read(path: Path, open_reader: Open, start: Start) -> None:
    reader = open_reader(start=start)
    assert reader.next(timeout_s=0.0) is None
    with closing(RingPublisher(path, n_slots=N_SLOTS)) as publisher:
        publish(publisher, *range(N_SLOTS + 2))
        assert reader.wait(10.0)
        assert read_all(reader) == list(range(2, N_SLOTS + 2))
        assert list(reader.lost.ids) == [0, 1]


def test_image_that_is_still_to_come_is_waited_for(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1)
    reader = open_reader(start=4)
    publish(publisher, 2, 3)
    assert reader.next(timeout_s=0.0) is None
    publish(publisher, 4, 5)
    assert read_all(reader) == [4, 5]
    assert reader.lost.n == 0


def test_image_that_never_came_is_replaced_by_the_first_after_it(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1, 2, 6, 7)
    assert read_all(open_reader(start=4)) == [6, 7]


def test_start_that_was_overwritten_counts_as_lost(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, *range(20))
    reader = open_reader(start=9)
    assert read_all(reader) == list(range(12, 20))
    assert list(reader.lost.ids) == [9, 10, 11]
    before = open_reader(start=0)
    assert read_all(before) == list(range(12, 20))
    assert list(before.lost.ids) == list(range(12))


def test_oldest_leaves_out_what_is_just_being_overwritten(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, *range(20))
    publisher.ring.begin(publisher.ring.slot(20))
    reader = open_reader(start="oldest")
    assert read_all(reader) == list(range(14, 20))
    assert reader.lost.n == 0
    publisher.ring.end(publisher.ring.slot(20))


def test_unknown_start_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="start is 'now', 'oldest' or the id of an image, not 'newest'"):
        ImageReader(path, start="newest")  # type: ignore[arg-type]


def test_slow_reader_is_told_which_images_it_lost(publisher: RingPublisher, open_reader: Open) -> None:
    reader = open_reader()
    publish(publisher, *range(100, 120))
    assert read_all(reader) == list(range(112, 120))
    assert (reader.lost.n, reader.lost.n_unnamed) == (12, 0)
    assert list(reader.lost.ids) == list(range(100, 112))
    assert str(reader.lost) == "12 lost: 100-111"


def test_reader_that_was_overtaken_while_it_copied_gets_some_time(
    publisher: RingPublisher, open_reader: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = open_reader()
    publish(publisher, *range(N_SLOTS))
    copy = Image.copy

    def overtaken(image: Image, out: Any = None) -> Image | None:
        monkeypatch.undo()
        publish(publisher, N_SLOTS)
        return copy(image, out)

    monkeypatch.setattr(Image, "copy", overtaken)
    assert read_all(reader) == list(range(3, N_SLOTS + 1))
    assert list(reader.lost.ids) == [0, 1, 2]


def test_image_that_was_lost_on_its_way_takes_no_other_with_it(publisher: RingPublisher, open_reader: Open) -> None:
    reader = open_reader()
    publish(publisher, 0, 1)
    publish_entry(publisher, 2)
    publish(publisher, *range(3, N_SLOTS))
    assert read_all(reader) == [0, 1, *range(3, N_SLOTS)]
    assert list(reader.lost.ids) == [2]


def test_images_that_the_journal_has_forgotten_are_counted(publisher: RingPublisher, open_reader: Open) -> None:
    reader = open_reader()
    n_entries = publisher.ring.geometry.n_entries
    entry = np.zeros(1, IMAGE_METADATA)
    for image_id in range(n_entries + 100):
        entry["id"] = image_id
        publisher.ring.journal.append(entry)
    assert read_all(reader) == []
    assert reader.lost.n == n_entries + 100
    assert reader.lost.n_unnamed == 101
    assert len(reader.lost.ids) == n_entries - 1
    assert reader.lost.ids[-1] == n_entries + 99
    assert str(reader.lost).startswith(f"{n_entries + 100} lost: 101-{n_entries + 99} and 101 others")


def test_of_a_ring_that_is_replaced_everything_is_read_and_then_the_new_one(path: Path, open_reader: Open) -> None:
    old = RingPublisher(path, n_slots=N_SLOTS)
    reader = open_reader()
    publish(old, 1, 2)
    with closing(RingPublisher(path, shape=(32, 16), n_slots=N_SLOTS)) as new:
        publish(new, 3)
        ids = read_all(reader)
        while ids[-1] != 3:
            assert reader.wait(10.0)
            ids += read_all(reader)
        assert ids == [1, 2, 3]
        assert reader.ring is not None
        assert reader.ring.shape == (32, 16)
    old.ring.close()


def test_loop_ends_when_nothing_comes(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1, 2)
    assert [image.id for image in open_reader(start="oldest", timeout_s=0.05)] == [1, 2]


def test_skipped_images_are_not_lost(publisher: RingPublisher, open_reader: Open) -> None:
    reader = open_reader()
    publish(publisher, *range(6))
    assert reader.skip(2) == 4
    assert read_all(reader) == [4, 5]
    assert (reader.lost.n, reader.n_skipped, reader.lag) == (0, 4, 0)


# -- the newest


def test_newest_is_that_of_the_ring_and_then_each_that_is_newer(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1, 2, 3)
    reader = open_reader()
    image = reader.newest(0.0)
    assert image is not None
    assert image.id == 3
    assert reader.newest(timeout_s=0.0) is None
    publish(publisher, 4, 5)
    image = reader.newest(0.0)
    assert image is not None
    assert image.id == 5
    assert (reader.n_skipped, reader.lost.n) == (1, 0)
    publish(publisher, 6)
    assert read_all(reader) == [6]
    assert reader.newest(timeout_s=0.0) is None


def test_newest_is_one_that_is_there(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1, 2)
    publish_entry(publisher, 3)
    image = open_reader().newest(0.0)
    assert image is not None
    assert image.id == 2


def test_newest_of_a_ring_without_images_is_waited_for(publisher: RingPublisher, open_reader: Open) -> None:
    assert open_reader().newest(timeout_s=0.01) is None


# -- by id


def test_image_is_found_by_its_id_and_the_order_is_not_disturbed(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, *range(10, 14))
    reader = open_reader(start="oldest")
    image = reader.by_id(12)
    assert isinstance(image, Image)
    check(image)
    assert image.id == 12
    assert read_all(reader) == [10, 11, 12, 13]


def test_missing_image_says_what_has_become_of_it(publisher: RingPublisher, open_reader: Open) -> None:
    reader = open_reader()
    assert reader.by_id(7) == MissingImage(7, Fate.TO_COME)
    publish(publisher, 1, 2, *range(4, 20))
    fates = {image_id: reader.by_id(image_id) for image_id in (0, 1, 3, 11, 12, 20)}
    assert {image_id: found.fate if isinstance(found, MissingImage) else None for image_id, found in fates.items()} == {
        0: Fate.NEVER_CAME,
        1: Fate.OVERWRITTEN,
        3: Fate.NEVER_CAME,
        11: Fate.OVERWRITTEN,
        12: None,
        20: Fate.TO_COME,
    }
    assert str(fates[1]) == "image 1: overwritten"
    assert not fates[1]
    assert fates[12]


def test_image_that_was_lost_on_its_way_is_told_as_overwritten(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1)
    publish_entry(publisher, 2)
    assert open_reader().by_id(2) == MissingImage(2, Fate.OVERWRITTEN)


def test_id_is_that_since_the_last_restart_of_the_detector(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 5, 6)
    publish_entry(publisher, 0, epoch=1)
    assert open_reader().by_id(5) == MissingImage(5, Fate.TO_COME)


def test_by_id_looks_into_the_ring_that_is_there_also_before_the_old_one_is_read(path: Path, open_reader: Open) -> None:
    old = RingPublisher(path, n_slots=N_SLOTS)
    reader = open_reader()
    publish(old, 1, 2)
    with closing(RingPublisher(path, shape=(32, 16), n_slots=N_SLOTS)) as new:
        publish(new, 3)
        for _ in range(2):
            image = reader.by_id(3)
            assert isinstance(image, Image)
            check(image)
        assert reader.next(0.0) is not None
    old.ring.close()


# -- waiting


def test_closed_reader_reads_nothing_any_more(publisher: RingPublisher, open_reader: Open) -> None:
    publish(publisher, 1)
    reader = open_reader(start="oldest")
    reader.close()
    for use in (reader.next, reader.newest, reader.wait, lambda: reader.by_id(1)):
        with pytest.raises(ValueError, match="this ImageReader is closed"):
            use()


def test_ring_that_is_none_is_told_at_once(path: Path) -> None:
    path.write_bytes(bytes(8192))
    with pytest.raises(SharedMemoryError, match="is not shared memory of std-daq"):
        ImageReader(path)
    path.unlink()
    frames, _ = FrameBuffer.create(path, n_modules=1, frame_bytes=64, n_units=1, buffer_bytes=0, n_slots=16)
    with pytest.raises(SharedMemoryError, match="contains frames, not images"):
        ImageReader(path)
    frames.close()


def test_what_comes_and_is_no_ring_is_told_to_who_waits(path: Path, open_reader: Open) -> None:
    reader = open_reader()
    path.write_bytes(bytes(8192))
    with pytest.raises(SharedMemoryError, match="is not shared memory of std-daq"):
        reader.next(timeout_s=10.0)


def test_configuration_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detector\.json"):
        ImageReader(tmp_path / "detector.json")


@pytest.fixture
def config_file(shm_dir: Path, runtime: Path, tmp_path: Path) -> Path:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps({**DOCUMENT, "shared_memory": {"directory": str(shm_dir)}}))
    return file


def test_waiting_reader_is_woken_by_the_doorbell_and_uses_no_processor(config_file: Path) -> None:
    config = parse_config(json.loads(config_file.read_text()))
    make_runtime_dir(config)
    with (
        closing(RingPublisher(image_buffer_path(config))) as publisher,
        closing(DoorbellPublisher(images_address(config))) as bell,
        ImageReader(str(config_file)) as reader,
    ):

        def publish_late() -> None:
            for image_id in range(20):
                time.sleep(0.02)
                entry = publisher.publish(image_id)
                bell.ring(entry)

        thread = threading.Thread(target=publish_late)
        thread.start()
        started, cpu = time.monotonic(), time.thread_time()
        for image_id in range(20):
            image = reader.next(timeout_s=10.0)
            assert image is not None
            assert image.id == image_id
        thread.join()
        assert time.thread_time() - cpu < 0.3 * (time.monotonic() - started)


def test_wait_is_interrupted_by_a_signal(config_file: Path) -> None:
    class StopError(Exception):
        pass

    def stop(number: int, frame: object) -> None:
        raise StopError

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        with ImageReader(config_file) as reader:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(StopError):
                reader.next()
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_reader_that_does_not_wait_does_not_listen(config_file: Path) -> None:
    config = parse_config(json.loads(config_file.read_text()))
    with closing(RingPublisher(image_buffer_path(config))) as publisher, ImageReader(config) as reader:
        publish(publisher, 1)
        assert reader.by_id(1)
        assert reader.next(timeout_s=0.0) is not None
        assert reader._doorbell is None
