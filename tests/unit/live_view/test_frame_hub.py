"""FrameHub: what is kept, counted and offered."""

import tracemalloc

import numpy as np
import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_live_view.frame_hub import MAX_HISTORY_BYTES, MAX_TOTAL_BYTES, FrameHub
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.selection import MAX_WAITING_BYTES, Selection
from std_live_view.uploads import MAX_HEADER_BYTES, uploaded_frame


class Listener:
    def __init__(self) -> None:
        self.frames: list[LiveFrame] = []

    def offer(self, frame: LiveFrame, now_s: float) -> None:
        self.frames.append(frame)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def frame_of(module_id: int, value: int = 1, shape: tuple[int, int] = (2, 2), board: int | None = None) -> LiveFrame:
    return LiveFrame(
        FrameKey(module_id, "img16"),
        is_pulse_height=False,
        header={} if board is None else {"quabo_num": board},
        pixels=np.full(shape, value, "<u2"),
        file="",
        frame_number=0,
        server_ns=0,
    )


def test_listener_gets_the_newest_frame_of_each_module_and_then_all() -> None:
    hub, listener = FrameHub(4, 100, Clock()), Listener()
    for value in (1, 2):
        hub.publish(frame_of(1, value))
        hub.publish(frame_of(2, value))
    hub.join(listener)
    assert [(frame.key.module_id, frame.maximum) for frame in listener.frames] == [(1, 2), (2, 2)]
    hub.publish(frame_of(3))
    hub.leave(listener)
    hub.publish(frame_of(3))
    assert len(listener.frames) == 3


def test_newest_frames_are_kept_with_numbers_that_go_on_after_a_new_beginning() -> None:
    hub = FrameHub(3, 100, Clock())
    for value in range(5):
        hub.publish(frame_of(1, value))
    assert [(frame.frame_id, frame.maximum) for frame in hub.recent(FrameKey(1, "img16"))] == [(3, 2), (4, 3), (5, 4)]
    assert hub.recent(FrameKey(2, "img16")) == []
    hub.begin([])
    assert hub.recent(FrameKey(1, "img16")) == []
    hub.publish(frame_of(1))
    assert hub.recent(FrameKey(1, "img16"))[0].frame_id == 6


def test_large_images_are_kept_up_to_a_bound_and_the_newest_always() -> None:
    hub = FrameHub(100, 100, Clock())
    side = 4096
    for _ in range(4):
        hub.publish(frame_of(1, shape=(side, side)))
    kept = hub.recent(FrameKey(1, "img16"))
    assert len(kept) * kept[0].pixels.nbytes <= MAX_HISTORY_BYTES
    hub.publish(frame_of(1, shape=(2 * side, 2 * side)))
    assert len(hub.recent(FrameKey(1, "img16"))) == 1


def test_modules_that_the_setup_does_not_want_are_counted_and_left_out() -> None:
    hub = FrameHub(3, 100, Clock())
    hub.begin([2])
    hub.publish(frame_of(1))
    hub.publish(frame_of(2))
    assert (hub.n_frames, hub.n_unwanted) == (1, 1)


def test_each_board_has_its_own_counters_with_its_rate_and_its_frames_of_zeros() -> None:
    clock = Clock()
    hub = FrameHub(3, 100, clock)
    for number in range(40):
        clock.now_s = number * 0.1
        hub.publish(frame_of(1, value=0 if number % 4 == 3 else 9, board=number % 4))
    rows = {board: counters for (_, board), counters in hub.counters.items()}
    assert sorted(rows) == [0, 1, 2, 3]  # type: ignore[type-var]
    assert [rows[board].n_frames for board in range(4)] == [10] * 4
    assert [rows[board].n_zero for board in range(4)] == [0, 0, 0, 10]
    assert 2.2 < rows[0].rate_hz(4.0) < 2.6
    assert rows[0].rate_hz(100.0) == 0.0


def test_frames_of_one_product_more_than_there_may_be_are_counted_and_not_kept() -> None:
    hub, listener = FrameHub(4, 2, Clock()), Listener()
    hub.join(listener)
    for module_id in (1, 2, 3, 1):
        hub.publish(frame_of(module_id))
    assert [frame.key.module_id for frame in listener.frames] == [1, 2, 1]
    assert (hub.n_without_room, hub.has_room(frame_of(3).key)) == (1, False)
    hub.begin([])
    hub.publish(frame_of(3))
    assert listener.frames[-1].key.module_id == 3


def test_memory_of_all_modules_together_is_bounded() -> None:
    hub = FrameHub(100, 100, Clock())
    shape = (1024, 1024)  # 2 MiB
    for _ in range(3):
        for module_id in range(80):
            hub.publish(frame_of(module_id, shape=shape))
    kept = sum(frame.pixels.nbytes for module_id in range(80) for frame in hub.recent(frame_of(module_id).key))
    assert kept <= MAX_TOTAL_BYTES
    assert all(hub.recent(frame_of(module_id).key) for module_id in range(80))


def uploads_with_large_headers(n: int) -> list[LiveFrame]:
    """Return images whose headers take much more memory than they have bytes: short names and no values."""
    image = messages.PanoImage(type=messages.PanoImage.MOVIE, shape=(32, 32), bytes_per_pixel=2, module_id=1)
    image.image_array.extend([0] * 1024)
    image.header.update({f"{number:x}": None for number in range(10**4)})
    while image.header.ByteSize() > MAX_HEADER_BYTES:
        image.header.fields.pop(f"{len(image.header.fields) - 1:x}")
    return [uploaded_frame(image) for _ in range(n)]


@pytest.mark.long
def test_large_headers_of_a_stranger_count_as_the_memory_that_they_take() -> None:
    tracemalloc.start()
    frames = uploads_with_large_headers(20)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < sum(frame.memory for frame in frames)
    hub = FrameHub(10**6, 10, Clock())
    selection = Selection(interval_s=0.0, module_ids=(), wants_movie=True, wants_pulse_height=True)
    for frame in frames * 50:
        hub.publish(frame)
        selection.offer(frame, 0.0)
    assert len(hub.recent(frames[0].key)) * frames[0].memory <= MAX_HISTORY_BYTES
    assert selection.n_waiting <= MAX_WAITING_BYTES // frames[0].content_bytes
