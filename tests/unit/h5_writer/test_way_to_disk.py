"""Which images go past the page cache."""

from std_h5_writer.way_to_disk import WayToDisk

N_SLOTS = 64
DISK_S, MEMORY_S = 0.001, 0.0005


def ways(way: WayToDisk, lags: list[int], *, cached_s: float = MEMORY_S) -> list[bool]:
    """Return the ways of images that find so many after them in the ring."""
    chosen = []
    for lag in lags:
        chosen.append(way.is_past_page_cache(lag, N_SLOTS))
        way.note(DISK_S if chosen[-1] else cached_s, is_past_page_cache=chosen[-1])
    return chosen


def test_images_go_past_the_page_cache_while_the_writer_keeps_up() -> None:
    assert all(ways(WayToDisk(is_direct=True), [0, 5, 31, 0]))


def test_none_does_where_it_is_not_wanted() -> None:
    assert not any(ways(WayToDisk(is_direct=False), [0, 5, 31, 40, 0]))


def test_a_writer_that_is_behind_uses_the_page_cache_until_it_has_caught_up() -> None:
    way = WayToDisk(is_direct=True)
    assert ways(way, [0] * 20 + [31, 32, 31, 20, 8, 7, 9, 31]) == [True] * 21 + [False] * 4 + [True] * 3


def test_a_page_cache_that_is_slower_than_the_disk_is_not_used_for_long() -> None:
    way = WayToDisk(is_direct=True)
    ways(way, [0] * 50)
    assert ways(way, [40] * 10, cached_s=0.007) == [False, False] + [True] * 8


def test_a_page_cache_that_was_slow_gets_another_chance_the_next_time() -> None:
    way = WayToDisk(is_direct=True)
    ways(way, [0] * 50)
    ways(way, [40] * 10, cached_s=0.007)
    assert ways(way, [0, 40, 40, 40]) == [True, False, False, False]
