import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.tpc.events.metadata import EVENT_METADATA
from std_writer_agent.counter import MAX_MISSED, MAX_NAMED, ImageCounter


def images(frames: Iterable[int], *, epoch: int = 0, id_offset: int = 100) -> NDArray[Any]:
    frames = list(frames)
    entries = np.zeros(len(frames), IMAGE_METADATA)
    entries["frame_index"] = frames
    entries["id"] = np.array(frames, np.uint64) + id_offset
    entries["epoch"] = epoch
    return entries


def feed_all(counter: ImageCounter, *parts: NDArray[Any]) -> list[int]:
    """Feed parts as the agent does: what is left over comes again with the next part; return the frames taken."""
    taken: list[int] = []
    rest = images([])
    for part in parts:
        fed = np.concatenate([rest, part])
        taken += counter.feed(fed)["frame_index"].tolist()
        rest = fed[len(fed) - counter.n_left_over :]
    return taken


def test_gap_in_the_frame_index_counts_as_lost_images_with_their_ids() -> None:
    counter = ImageCounter(10, None)
    taken = counter.feed(images([0, 1, 4, 5]))
    assert taken["frame_index"].tolist() == [0, 1, 4, 5]
    assert counter.missed_ids() == [102, 103]
    assert counter.n_left == 4


def test_run_is_full_when_taken_and_missed_make_up_the_request() -> None:
    counter = ImageCounter(5, None)
    taken = counter.feed(images([0, 1, 9, 10]))
    assert taken["frame_index"].tolist() == [0, 1]
    assert counter.is_full
    assert counter.missed_ids() == [102, 103, 104]


def test_images_after_the_end_are_left_over() -> None:
    counter = ImageCounter(3, None)
    counter.feed(images([0]))
    counter.feed(images([1, 2, 3, 4]))
    assert counter.n_left_over == 2
    counter = ImageCounter(3, None)
    counter.feed(images([0, 7, 8]))
    assert counter.n_left_over == 2


def test_ids_that_do_not_go_along_with_the_frame_index_are_counted_but_not_named() -> None:
    entries = images([0, 1, 4])
    entries["id"] = [1000, 1010, 1040]
    counter = ImageCounter(10, None)
    counter.feed(entries)
    assert counter.n_missed == 2
    assert counter.missed_ids() == []


def test_restart_of_the_detector_goes_on_counting() -> None:
    counter = ImageCounter(6, None)
    counter.feed(images([50, 51]))
    taken = counter.feed(images([0, 1, 3, 4], epoch=1))
    assert taken["frame_index"].tolist() == [0, 1, 3]
    assert counter.n_missed == 1


def test_entries_that_were_overrun_in_the_journal_are_lost() -> None:
    counter = ImageCounter(None, None)
    counter.feed(images([0]))
    counter.feed(images([4]), n_unread=3)
    assert (counter.n_taken, counter.n_missed) == (2, 3)
    counter.feed(images([0], epoch=1), n_unread=2)
    assert (counter.n_taken, counter.n_missed) == (3, 5)


def test_run_begins_at_the_start_id() -> None:
    counter = ImageCounter(3, 105)
    taken = counter.feed(images(range(10)))
    assert taken["id"].tolist() == [105, 106, 107]
    assert counter.n_missed == 0


def test_lost_start_image_is_missed_and_what_was_lost_before_it_is_not() -> None:
    counter = ImageCounter(5, 105)
    taken = counter.feed(images([0, 1, 2, 7, 8, 9]))
    assert taken["id"].tolist() == [107, 108, 109]
    assert counter.missed_ids() == [105, 106]


def test_absurd_gap_is_counted_and_its_ids_are_bounded() -> None:
    counter = ImageCounter(None, None)
    counter.feed(images([0, 2**40]))
    assert counter.n_missed == 2**40 - 1
    assert len(counter.missed_ids()) == MAX_NAMED


@given(
    jumps=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60),
    n_images=st.none() | st.integers(1, 80),
    cuts=st.sets(st.integers(0, 60)),
)
def test_taken_and_missed_are_what_went_by_however_it_is_cut(
    jumps: list[tuple[int, bool]], n_images: int | None, cuts: set[int]
) -> None:
    parts, epoch, frame, expected = [], 0, -1, 0
    for index, (gap, restarts) in enumerate(jumps):
        if restarts:
            epoch, frame = epoch + 1, -1
            gap = 0
        frame += gap + 1
        parts.append(images([frame], epoch=epoch))
        expected += 1 + (gap if index else 0)
    entries = np.concatenate(parts) if parts else images([])
    counter = ImageCounter(n_images, None)
    edges = [0, *sorted(cut for cut in cuts if cut < len(entries)), len(entries)]
    taken = feed_all(counter, *(entries[a:b] for a, b in itertools.pairwise(edges)))
    counter.settle()
    assert counter.n_taken == len(taken)
    assert counter.n_taken + counter.n_missed == (expected if n_images is None else min(expected, n_images))
    assert len(counter.missed_ids()) == counter.n_missed


def test_images_of_other_shares_are_not_missed() -> None:
    counter = ImageCounter(6, None)
    taken = counter.feed(images([3, 7, 11, 23]), frame_index_step=4)
    assert taken["frame_index"].tolist() == [3, 7, 11, 23]
    assert counter.n_missed == 2
    assert counter.missed_ids() == [115, 119]
    assert counter.is_full


def test_start_image_of_another_share_is_not_missed() -> None:
    counter = ImageCounter(5, 104)
    counter.feed(images([3, 7]), frame_index_step=4)
    assert (counter.n_taken, counter.n_missed) == (1, 0)
    counter = ImageCounter(5, 104)
    counter.feed(images([3, 15]), frame_index_step=4)
    assert counter.missed_ids() == [107, 111]


def exposures(counter: ImageCounter, entries: NDArray[Any], **options: int) -> Any:
    taken = counter.feed(entries, **options)
    assert len(counter.exposures) == len(taken)
    return counter.exposures.tolist()


def test_exposures_count_lost_images_and_those_of_the_calls_before() -> None:
    counter = ImageCounter(20, None)
    assert exposures(counter, images([50, 51, 54])) == [0, 1, 4]
    assert exposures(counter, images([55, 58])) == [5, 8]


def test_exposures_of_a_share_are_those_of_the_detector() -> None:
    counter = ImageCounter(3, None)
    assert exposures(counter, images([8, 12, 20, 24]), frame_index_step=4) == [0, 4]
    assert counter.is_full


def test_share_that_begins_after_the_start_image_knows_how_long() -> None:
    counter = ImageCounter(None, 101)
    assert exposures(counter, images([102, 106], id_offset=0), frame_index_step=4) == [1, 5]


def test_start_image_that_never_came_is_an_exposure() -> None:
    counter = ImageCounter(None, 105)
    assert exposures(counter, images([2, 3, 7, 8])) == [2, 3]


def test_start_image_long_before_the_first_that_is_known_is_no_count_of_exposures() -> None:
    assert exposures(ImageCounter(None, 0), images([5000, 5001], id_offset=0)) == [0, 1]


def test_pulse_ids_are_no_count_of_exposures() -> None:
    entries = images([0, 1, 2])
    entries["id"] = [1000, 1010, 1020]
    assert exposures(ImageCounter(None, 1005), entries) == [0, 1]


def test_exposures_go_on_after_a_restart_of_the_detector() -> None:
    counter = ImageCounter(None, None)
    assert exposures(counter, images([50, 51])) == [0, 1]
    assert exposures(counter, images([0, 1, 3], epoch=1)) == [2, 3, 5]


def test_image_far_ahead_fills_no_run_before_the_next_one_confirms_it() -> None:
    counter = ImageCounter(40, None)
    assert feed_all(counter, images(range(100, 112)), images([612])) == list(range(100, 112))
    assert (counter.n_missed, counter.is_full, counter.n_left_over) == (0, False, 1)
    counter.feed(images([612, 613]))
    assert (counter.n_missed, counter.is_full, counter.n_left_over) == (28, True, 2)


@pytest.mark.parametrize("ahead", [3, 500])
def test_images_that_come_after_a_stray_from_ahead_are_not_missed(ahead: int) -> None:
    counter = ImageCounter(40, None)
    stray = images([111 + ahead])
    taken = feed_all(counter, images(range(100, 112)), stray, images(range(112, 140), epoch=1))
    counter.settle()
    assert [frame for frame in taken if frame != 111 + ahead or frame < 140] == [
        *range(100, 112),
        *([111 + ahead] if ahead == 3 else []),
        *range(112, 140 - (ahead == 3)),
    ]
    assert (counter.n_missed, counter.missed_ids(), counter.is_full) == (0, [], True)


def test_gap_at_the_end_of_a_series_counts_although_the_detector_begins_again() -> None:
    counter = ImageCounter(20, None)
    feed_all(counter, images([1, 2, 5]), images([1, 2, 3], epoch=1))
    assert (counter.n_taken, counter.missed_ids()) == (6, [103, 104])


def test_gap_that_fills_the_run_counts_if_no_further_image_comes() -> None:
    counter = ImageCounter(10, None)
    feed_all(counter, images([0, 1, 2]), images([20]))
    counter.settle()
    assert (counter.n_taken, counter.n_missed, counter.is_full) == (3, 7, True)


def test_events_of_two_runs_that_come_one_in_another_are_counted_each_by_its_own_ids() -> None:
    counter = ImageCounter(None, None, "id")
    entries = np.zeros(6, EVENT_METADATA)
    entries["id"] = [100, 0, 1, 103, 3, 104]
    entries["epoch"] = [0, 1, 1, 0, 1, 0]
    assert len(counter.feed(entries)) == 6
    assert (counter.n_taken, counter.n_missed) == (6, 3)
    assert sorted(counter.missed_ids()) == [2, 101, 102]


@pytest.mark.parametrize("frame", [2**48, 2**62, 2**64 - 200])
def test_frame_number_from_nowhere_keeps_an_open_run_within_the_numbers_of_a_report(frame: int) -> None:
    counter = ImageCounter(None, None)
    assert counter.feed(images([0, 1]))["frame_index"].tolist() == [0, 1]
    assert counter.feed(images([frame]), 0, 64)["frame_index"].tolist() == [frame]
    assert counter.feed(images([frame + 64, frame + 128]), 7, 64)["frame_index"].tolist() == [frame + 64, frame + 128]
    assert counter.n_missed <= MAX_MISSED
    assert counter.exposures.min() >= 0
    assert min(counter.missed_ids()) >= 0
