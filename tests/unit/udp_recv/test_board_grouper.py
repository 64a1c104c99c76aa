"""How packets of boards become images."""

import random
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.telescope.boards import Telescope
from std_test_kit.telescope_boards import board_packet, telescope_config
from std_udp_recv.board_grouper import MAX_SOURCES, SILENT_NS, BoardEvent, BoardGrouper
from std_udp_recv.board_numbers import BoardNumbers
from std_udp_recv.board_packets import BoardPacket, read_packet

ALL = frozenset(range(4))
IDLE_NS = 200_000_000
MS = 1_000_000


class Rig:
    """A grouper, and what it has returned."""

    def __init__(
        self, product: str = "img16", window: int = 4, boards: frozenset[int] = ALL, **options: object
    ) -> None:
        self.product = product
        self.layout = Telescope(telescope_config(product, **options)).board_layout()
        self.grouper = BoardGrouper(
            self.layout, boards if self.layout.n_boards > 1 else frozenset({0}), window=window, idle_ns=IDLE_NS
        )
        self.events: list[BoardEvent] = []

    def feed(self, quarter: int, number: int, nsec: int, *, module: int = 1, tai: int = 5, now_ns: int = 0) -> None:
        data = board_packet(self.product, module=module, quarter=quarter, number=number % 65536, tai=tai, nsec=nsec)
        packet = read_packet(self.layout, data, now_ns)
        assert isinstance(packet, BoardPacket)
        self.events += self.grouper.feed(packet, now_ns)

    def feed_image(self, number: int, quarters: Iterable[int] = range(4), module: int = 1) -> None:
        for quarter in quarters:
            self.feed(quarter, number, number % 900 * MS + 20 * quarter, module=module, now_ns=number * MS)

    def poll(self, now_ns: int) -> None:
        self.events += self.grouper.poll(now_ns)

    @property
    def images(self) -> list[tuple[int, list[int], int]]:
        """Of each image: its source, the boards that are there, and how many images are lost before it."""
        return [
            (next(p.source for p in event.packets if p), [p.board for p in event.packets if p], event.n_lost_before)
            for event in self.events
        ]


def test_four_packets_of_a_moment_are_an_image() -> None:
    rig = Rig()
    rig.feed_image(0)
    rig.feed_image(1)
    assert rig.images == [(1, [0, 1, 2, 3], 0)] * 2
    assert rig.grouper.n_complete == 2
    assert rig.grouper.n_open == 0


def test_equal_numbers_do_not_matter_but_times_do() -> None:
    rig = Rig(window=8)
    for quarter in range(4):
        rig.feed(quarter, 1000 * quarter, 500)
    assert rig.images == [(1, [0, 1, 2, 3], 0)]
    for quarter in range(4):
        rig.feed(quarter, 1000 * quarter + 1, 10_000 + 101 * quarter)  # one number more each, but 101 ns apart
    assert len(rig.events) == 1
    rig.poll(IDLE_NS)
    assert [boards for _, boards, _ in rig.images[1:]] == [[0], [1], [2], [3]]
    assert rig.grouper.n_incomplete == 4


def test_times_are_close_across_the_turn_of_the_seconds() -> None:
    rig = Rig()
    rig.feed(0, 1, 999_999_990, tai=1023)
    for quarter in (1, 2, 3):
        rig.feed(quarter, 1, 10, tai=0)
    assert rig.images == [(1, [0, 1, 2, 3], 0)]


def test_modules_do_not_mix_although_their_times_are_the_same() -> None:
    rig = Rig()
    for quarter in range(4):
        for module in (1, 254, 16383):
            rig.feed(quarter, 7, 500, module=module)
    assert rig.images == [(1, [0, 1, 2, 3], 0), (254, [0, 1, 2, 3], 0), (16383, [0, 1, 2, 3], 0)]


def test_image_that_lacks_a_board_ends_when_newer_ones_have_begun() -> None:
    rig = Rig(window=2)
    rig.feed_image(0, [0, 1, 3])
    rig.feed_image(1)
    assert rig.images == []  # images of a module come in order
    rig.feed_image(2)
    assert [boards for _, boards, _ in rig.images] == [[0, 1, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert [lost for *_, lost in rig.images] == [0, 0, 0]
    assert rig.grouper.counters[1, 2].lost == 0, "the first packet of a board cannot tell what was before it"


def test_image_that_lacks_a_board_ends_after_a_time_without_packets() -> None:
    rig = Rig()
    rig.feed_image(0, [0])
    rig.poll(IDLE_NS - 1)
    assert rig.images == []
    rig.poll(IDLE_NS)
    assert rig.images == [(1, [0], 0)]


def test_lost_packet_of_one_board_is_counted_and_no_image_is_lost() -> None:
    rig = Rig(window=1)
    rig.feed_image(0)
    rig.feed_image(1, [0, 1, 3])
    rig.feed_image(2)
    assert [boards for _, boards, _ in rig.images] == [[0, 1, 2, 3], [0, 1, 3], [0, 1, 2, 3]]
    assert [lost for *_, lost in rig.images] == [0, 0, 0]
    assert rig.grouper.counters[1, 2].lost == 1


@pytest.mark.parametrize("first", [0, 65533, 65535])
def test_images_of_which_all_packets_are_lost_are_told_with_the_next(first: int) -> None:
    rig = Rig()
    for step in (0, 1, 5, 6):
        rig.feed_image(first + step)
    assert [lost for *_, lost in rig.images] == [0, 0, 3, 0]
    assert [rig.grouper.counters[1, board].lost for board in range(4)] == [3] * 4


def test_images_lost_while_one_board_was_missing_too_are_counted_once() -> None:
    rig = Rig(window=1)
    rig.feed_image(0)
    rig.feed_image(1, [0, 1, 2])
    rig.feed_image(4, [3])
    rig.feed_image(5)
    assert [(boards, lost) for _, boards, lost in rig.images[1:]] == [([0, 1, 2], 0), ([3], 2), ([0, 1, 2, 3], 0)]


def test_board_that_restarts_alone_loses_no_image_of_the_others() -> None:
    rig = Rig()
    rig.feed_image(30_000)
    for quarter in range(4):
        rig.feed(quarter, 0 if quarter == 2 else 30_001, 77 * MS)
    assert [lost for *_, lost in rig.images] == [0, 0]
    assert rig.grouper.counters[1, 2].restarts == 1
    assert rig.grouper.counters[1, 2].lost == 0


def test_packet_that_is_late_completes_its_image_if_that_is_open() -> None:
    rig = Rig(window=4)
    rig.feed_image(0)
    rig.feed_image(1, [0, 1, 2])
    rig.feed_image(2)
    rig.feed_image(1, [3])
    assert [boards for _, boards, _ in rig.images] == [[0, 1, 2, 3]] * 3
    assert (rig.grouper.counters[1, 3].lost, rig.grouper.counters[1, 3].late) == (1, 1)


def test_packet_whose_image_has_ended_is_refused_and_makes_no_image_of_its_own() -> None:
    rig = Rig(window=1)
    rig.feed_image(0)
    rig.feed_image(1, [0, 1, 2])
    rig.feed_image(2)
    rig.feed_image(1, [3])
    assert rig.grouper.refused == {"late": 1}
    assert len(rig.events) == 3


def test_doubled_packet_is_refused() -> None:
    rig = Rig()
    rig.feed_image(0, [0, 1, 1, 2, 3, 3])
    assert rig.images == [(1, [0, 1, 2, 3], 0)]
    assert rig.grouper.refused == {"duplicate": 2}


def test_pulse_heights_of_single_boards_are_images_at_once_and_in_order_of_arrival() -> None:
    rig = Rig("ph256")
    rig.feed(2, 10, 5)
    rig.feed(0, 65535, 6, module=254)
    rig.feed(0, 1, 4, module=254)
    rig.feed(2, 11, 4_000_000_000)
    assert rig.images == [(1, [2], 0), (254, [0], 0), (254, [0], 1), (1, [2], 0)]
    assert rig.grouper.counters[1, 2].unsynchronised == 1
    assert rig.grouper.counters[254, 0].lost == 1
    assert rig.grouper.n_open == 0


def test_late_pulse_height_is_an_image_although_it_was_counted_as_lost() -> None:
    rig = Rig("ph256")
    for number in (1, 3, 2):
        rig.feed(0, number, number)
    assert [lost for *_, lost in rig.images] == [0, 1, 0]
    assert (rig.grouper.counters[1, 0].lost, rig.grouper.counters[1, 0].late) == (1, 1)


def test_board_that_is_off_is_not_waited_for_and_its_packets_are_refused() -> None:
    rig = Rig(boards=frozenset({0, 1, 3}))
    rig.feed_image(0)
    assert rig.images == [(1, [0, 1, 3], 0)]
    assert rig.grouper.refused == {"foreign_module": 1}


def test_number_of_sources_is_bounded() -> None:
    rig = Rig("ph256")
    for module in range(MAX_SOURCES + 3):
        rig.feed(0, 0, 0, module=module)
    assert len(rig.events) == MAX_SOURCES
    assert rig.grouper.refused == {"foreign_module": 3}


def test_flush_returns_what_is_open_in_order() -> None:
    rig = Rig()
    rig.feed_image(0, [1])
    rig.feed_image(1, [2])
    assert [[p.board for p in event.packets if p] for event in rig.grouper.flush()] == [[1], [2]]


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(2, 4))
def test_packets_that_overtake_each_other_within_the_window_make_the_same_images(
    seed: int, n_images: int, window: int
) -> None:
    order = random.Random(seed)
    packets = [(number, quarter) for number in range(n_images) for quarter in range(4)]
    # A packet overtakes those of at most one image, and never another one of its board.
    due = {(number, quarter): number + (order.random() if quarter else 0.0) for number, quarter in packets}
    rig = Rig(window=window)
    for number, quarter in sorted(packets, key=due.__getitem__):
        rig.feed(quarter, number, number * MS, now_ns=number * MS)
    assert rig.images == [(1, [0, 1, 2, 3], 0)] * n_images
    assert not rig.grouper.refused


def test_modules_that_do_not_exist_take_a_place_only_while_they_send() -> None:
    rig = Rig("ph256")
    rig.feed(0, 0, 0, module=1, now_ns=0)
    for module in range(2, MAX_SOURCES + 1):
        rig.feed(0, 0, 0, module=module, now_ns=SILENT_NS)
    rig.feed(0, 0, 0, module=9000, now_ns=SILENT_NS + 1)  # in the place of module 1, which has been silent
    rig.feed(0, 0, 0, module=9001, now_ns=SILENT_NS + 2)
    assert rig.grouper.refused == {"foreign_module": 1}
    rig.feed(0, 7, 0, module=9002, now_ns=2 * SILENT_NS + 3)
    assert rig.images[-1] == (9002, [0], 0)
    assert len(rig.grouper.counters) == MAX_SOURCES


def test_open_images_of_a_module_that_gives_its_place_are_not_lost() -> None:
    rig = Rig("img16")
    rig.feed_image(0, [0, 1], module=1)
    rig.feed_image(0, module=2)
    for module in range(3, MAX_SOURCES + 3):
        rig.feed_image(3000, module=module)
    assert (1, [0, 1], 0) in rig.images
    assert not rig.grouper.refused


def test_boards_that_do_not_exist_take_little_memory() -> None:
    """1024 modules of four boards with 1024 numbers each: as tuples in dictionaries they took 0.9 GB."""
    numbers = BoardNumbers(2**16)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(4096):
        numbers.feed(number, 10**9 + number, 10**12 + number)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 2000
