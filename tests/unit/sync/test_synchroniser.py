"""The synchroniser: examples, and properties over any order of pieces."""

import itertools
import random
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.sync.synchroniser import HELD_WINDOWS, SILENT_AFTER, Refusal, Synchronised, Synchroniser
from std_test_kit.memory import growth_bytes

LIMIT_NS = 100
Piece = tuple[int, int]  # source, key

randoms = st.randoms(use_true_random=False)


def synchroniser(n_sources: int = 2, window: int = 8) -> Synchroniser[str]:
    return Synchroniser(n_sources, window=window, time_limit_ns=LIMIT_NS)


def feed_all(sync: Synchroniser[str], pieces: Iterable[Piece], now_ns: int = 0) -> list[Synchronised[str]]:
    return [done for source, key in pieces for done in sync.feed(source, key, f"{source}:{key}", now_ns)]


def keys(results: Iterable[Synchronised[str]]) -> list[int]:
    return [result.key for result in results]


def places(results: Iterable[Synchronised[str]]) -> list[tuple[int, int, tuple[int, ...]]]:
    return [(result.epoch, result.key, result.missing) for result in results]


# one epoch


def test_key_is_delivered_with_the_payloads_in_the_order_of_the_sources() -> None:
    sync = synchroniser(3)
    assert feed_all(sync, [(2, 7), (0, 7)]) == []
    assert feed_all(sync, [(1, 7)]) == [Synchronised(7, ["0:7", "1:7", "2:7"], (), 0)]


def test_single_source_delivers_at_once() -> None:
    assert keys(feed_all(synchroniser(1), [(0, 3), (0, 4)])) == [3, 4]


def test_complete_key_waits_for_a_lower_one_that_is_open() -> None:
    sync = synchroniser()
    assert feed_all(sync, [(0, 1), (0, 2), (1, 2)]) == []
    assert keys(feed_all(sync, [(1, 1)])) == [1, 2]


def test_key_that_nobody_fed_is_not_invented() -> None:
    assert keys(feed_all(synchroniser(), [(0, 1), (1, 1), (0, 1000), (1, 1000)])) == [1, 1000]


def test_lowest_key_is_given_up_when_too_many_are_open() -> None:
    sync = synchroniser(window=2)
    assert feed_all(sync, [(0, 1), (0, 2), (1, 2)]) == []
    assert places(feed_all(sync, [(0, 3)])) == [(0, 1, (1,)), (0, 2, ())]
    assert (sync.counters.crowded_out, sync.counters.timed_out) == (1, 0)
    assert sync.counters.missing == [0, 1]


def test_key_is_given_up_at_its_time_limit_and_not_before() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 1)], now_ns=50)
    assert sync.poll(50 + LIMIT_NS - 1) == []
    assert sync.poll(50 + LIMIT_NS) == [Synchronised(1, ["0:1", None], (1,), 0)]
    assert (sync.counters.crowded_out, sync.counters.timed_out) == (0, 1)


def test_key_at_its_time_limit_takes_the_lower_ones_along() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 5)], now_ns=0)
    feed_all(sync, [(1, 4), (0, 6)], now_ns=LIMIT_NS // 2)
    assert places(sync.poll(LIMIT_NS)) == [(0, 4, (0,)), (0, 5, (1,))]
    assert len(sync) == 1


def test_complete_key_that_only_waited_for_a_lower_one_has_not_timed_out() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 1), (0, 2), (1, 2)])
    assert keys(sync.poll(LIMIT_NS)) == [1, 2]
    assert (sync.counters.timed_out, sync.counters.complete, sync.counters.incomplete) == (1, 1, 1)


def test_piece_after_the_time_limit_is_taken_as_long_as_its_key_is_open() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 1)], now_ns=0)
    assert places(feed_all(sync, [(1, 1)], now_ns=10 * LIMIT_NS)) == [(0, 1, ())]


def test_late_and_duplicate_pieces_are_counted_and_handed_to_the_hook() -> None:
    refused: list[tuple[str, int, int, str]] = []
    sync: Synchroniser[str] = Synchroniser(
        2, window=8, time_limit_ns=LIMIT_NS, on_refused=lambda *piece: refused.append(piece)
    )
    sync.feed(0, 1, "first", 0)
    sync.feed(0, 1, "again", 0)
    assert sync.feed(1, 1, "other", 0) == [Synchronised(1, ["first", "other"], (), 0)]
    assert not sync.feed(1, 0, "late", 0)
    assert refused == [("duplicate", 0, 1, "again"), ("late", 1, 0, "late")]
    assert (sync.counters.duplicate, sync.counters.late) == ([1, 0], [0, 1])


def test_flush_delivers_everything_and_later_pieces_are_late() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 2), (0, 1), (1, 2)])
    assert places(sync.flush()) == [(0, 1, (1,)), (0, 2, ())]
    assert sync.flush() == []
    assert feed_all(sync, [(1, 1)]) == []
    assert sync.counters.late == [0, 1]


def test_consecutive_key_waits_for_the_one_before_it_until_the_time_limit() -> None:
    sync: Synchroniser[str] = Synchroniser(1, window=8, time_limit_ns=LIMIT_NS, consecutive=True)
    assert keys(feed_all(sync, [(0, 10), (0, 12), (0, 13), (0, 11)])) == [10, 11, 12, 13]
    assert keys(feed_all(sync, [(0, 15), (0, 16)])) == []
    assert keys(sync.poll(LIMIT_NS)) == [15, 16]
    assert sync.counters.complete == 6
    assert keys(sync.feed(0, 3, "restarted", 0, restarted=True)) == [3]


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_senseless_arguments_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Synchroniser(wrong[0], window=wrong[1], time_limit_ns=wrong[2])


def test_keys_straight_from_a_numpy_struct_are_taken_in_every_epoch() -> None:
    sync = synchroniser(1)
    key = np.uint64(2**64 - 1)
    assert places(sync.feed(0, key, "", 0)) == [(0, 2**64 - 1, ())]  # type: ignore[arg-type]
    assert places(sync.feed(0, key, "", 0, restarted=True)) == [(1, 2**64 - 1, ())]  # type: ignore[arg-type]


# silence


def feed_without_source_1(sync: Synchroniser[str], n_keys: int) -> list[Synchronised[str]]:
    """Feed a key of source 0 each time limit, polling in between."""
    results: list[Synchronised[str]] = []
    for key in range(n_keys):
        results += feed_all(sync, [(0, key)], now_ns=key * LIMIT_NS)
        results += sync.poll((key + 1) * LIMIT_NS)
    return results


def test_silent_source_is_not_awaited_until_it_is_heard_again() -> None:
    sync = synchroniser()
    assert len(feed_without_source_1(sync, SILENT_AFTER)) == SILENT_AFTER
    assert sync.silent == (1,)
    assert places(feed_all(sync, [(0, 50)])) == [(0, 50, (1,))]
    assert feed_all(sync, [(1, 50)]) == []
    assert sync.silent == ()
    assert feed_all(sync, [(0, 51)]) == []
    assert places(feed_all(sync, [(1, 51)])) == [(0, 51, ())]


def test_source_can_fall_silent_again() -> None:
    sync = synchroniser()
    feed_without_source_1(sync, SILENT_AFTER)
    feed_all(sync, [(1, 0)])
    assert sync.silent == ()
    for key in range(100, 100 + SILENT_AFTER):
        feed_all(sync, [(0, key)], now_ns=key * LIMIT_NS)
        sync.poll((key + 1) * LIMIT_NS)
    assert sync.silent == (1,)


def test_silence_releases_the_keys_that_waited_for_the_source() -> None:
    sync = synchroniser()
    feed_without_source_1(sync, SILENT_AFTER - 1)
    start_ns = SILENT_AFTER * LIMIT_NS
    feed_all(sync, [(0, 100)], now_ns=start_ns)
    feed_all(sync, [(0, 101)], now_ns=start_ns + LIMIT_NS // 2)
    assert keys(sync.poll(start_ns + LIMIT_NS)) == [100, 101]


def test_source_that_loses_one_key_now_and_then_stays_awaited() -> None:
    sync = synchroniser()
    for key in range(4 * SILENT_AFTER):
        feed_all(sync, [(0, key), (1, key)] if key % SILENT_AFTER == 0 else [(0, key)], key * LIMIT_NS)
        sync.poll((key + 1) * LIMIT_NS)
        assert sync.silent == ()


def test_pause_of_little_more_than_the_time_limit_loses_only_what_was_due() -> None:
    sync = synchroniser(window=1000)
    for key in range(LIMIT_NS + 20):
        feed_all(sync, [(0, key)], now_ns=key)
    given_up = sync.poll(LIMIT_NS + 20)
    assert len(given_up) == 21
    caught_up = feed_all(sync, [(1, key) for key in range(LIMIT_NS + 20)])
    assert all(result.missing == () for result in caught_up)
    assert len(given_up) + len(caught_up) == LIMIT_NS + 20


def test_source_that_is_always_late_stays_awaited_and_delays_by_the_time_limit_at_most() -> None:
    sync = synchroniser(window=1000)
    for now_ns in range(20 * LIMIT_NS):
        results = feed_all(sync, [(0, now_ns)], now_ns)
        if now_ns >= 2 * LIMIT_NS:
            results += feed_all(sync, [(1, now_ns - 2 * LIMIT_NS)], now_ns)
        results += sync.poll(now_ns)
        assert all(now_ns - result.key <= LIMIT_NS for result in results)
    assert sync.counters.complete == 0
    assert sync.counters.missing[1] == sync.counters.incomplete


# epochs


def test_old_epoch_is_completed_and_delivered_before_the_new_one() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 99), (0, 100)])
    assert not sync.feed(0, 1, "new", 0, restarted=True)
    assert places(feed_all(sync, [(1, 99), (1, 100)])) == [(0, 99, ()), (0, 100, ())]
    assert places(sync.feed(1, 1, "new", 0, restarted=True)) == [(1, 1, ())]
    assert sync.counters.epochs == 1


def test_source_that_went_over_is_not_awaited_in_the_old_epoch() -> None:
    sync = synchroniser(3)
    feed_all(sync, [(1, 100), (2, 100)])
    assert places(sync.feed(0, 1, "new", 0, restarted=True)) == [(0, 100, (0,))]
    assert feed_all(sync, [(1, 101)]) == []
    assert places(feed_all(sync, [(2, 101)])) == [(0, 101, (0,))]


def test_second_restart_of_a_source_opens_another_epoch() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 1), (1, 1)])
    for epoch in (1, 2):
        assert not sync.feed(0, 1, "new", 0, restarted=True)
        assert places(sync.feed(1, 1, "new", 0, restarted=True)) == [(epoch, 1, ())]
    assert sync.counters.epochs == 2


def test_source_that_was_off_joins_the_newest_epoch() -> None:
    sync = synchroniser(3)
    feed_all(sync, [(0, 100), (1, 100), (2, 100)])
    for source in (0, 1):
        sync.feed(source, 1, "new", 0, restarted=True)
    assert places(feed_all(sync, [(2, 1)])) == [(1, 1, ())]
    assert places(feed_all(sync, [(0, 2), (1, 2), (2, 2)])) == [(1, 2, ())]


def test_piece_that_its_own_epoch_awaits_stays_there_even_if_it_fits_the_newest() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 3)])
    sync.feed(0, 1, "new", 0, restarted=True)
    assert places(feed_all(sync, [(1, 3)])) == [(0, 3, ())]


def test_old_pieces_are_late_once_the_new_epoch_is_delivered() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 100)])
    sync.feed(0, 1, "new", 0, restarted=True)
    assert places(sync.poll(LIMIT_NS)) == [(0, 100, (1,)), (1, 1, (1,))]
    assert feed_all(sync, [(1, 99), (1, 100)]) == []
    assert sync.counters.late == [0, 2]


def test_late_piece_of_an_old_epoch_does_not_take_its_source_to_the_newest() -> None:
    sync = synchroniser()
    feed_all(sync, [(0, 5), (1, 5)])
    sync.feed(0, 4, "new", 0, restarted=True)
    sync.feed(0, 5, "new", 0)
    sync.poll(LIMIT_NS)
    feed_all(sync, [(1, 5)])
    assert sync.counters.late == [0, 1]
    feed_all(sync, [(0, 6)])
    assert places(sync.feed(1, 6, "new", 0, restarted=True)) == [(1, 6, ())]


def test_one_wild_key_costs_an_image_and_not_the_run() -> None:
    sync = synchroniser(2)
    feed_all(sync, [(0, 10), (1, 10), (0, 2**63)])
    results = list(sync.feed(0, 11, "back", 0, restarted=True))
    results += feed_all(sync, [(1, 11)])
    results += feed_all(sync, [(source, key) for key in range(12, 20) for source in (1, 0)])
    assert [result.key for result in results if not result.missing] == list(range(11, 20))
    assert [result.key for result in results if result.missing] == [2**63]
    assert len(sync) == 0


# properties


def shuffled(
    rng: random.Random,
    n_sources: int,
    n_keys: int,
    window: int,
    *,
    lost: frozenset[Piece] = frozenset(),
    is_ascending: bool = True,
) -> list[Piece]:
    """Return the pieces in an order in which none is ``window`` keys or more ahead of one that still comes.

    Each source brings its keys in ascending order, or not even that.
    """
    left = {s: [k for k in range(n_keys) if (s, k) not in lost] for s in range(n_sources)}
    pieces = []
    while any(left.values()):
        end = min(source_keys[0] for source_keys in left.values() if source_keys) + window
        ready = [
            (source, key)
            for source, source_keys in left.items()
            for key in (source_keys[:1] if is_ascending else source_keys)
            if key < end
        ]
        source, key = rng.choice(ready)
        left[source].remove(key)
        pieces.append((source, key))
    return pieces


@given(randoms, st.integers(1, 5), st.integers(1, 30), st.integers(1, 6), st.integers(1, 2**58))
def test_any_interleaving_within_the_window_delivers_each_key_once_ascending_and_complete(
    rng: random.Random, n_sources: int, n_keys: int, window: int, stride: int
) -> None:
    sync = synchroniser(n_sources, window)
    order = shuffled(rng, n_sources, n_keys, window)
    results = feed_all(sync, [(source, key * stride) for source, key in order])
    assert places(results) == [(0, key * stride, ()) for key in range(n_keys)]
    assert len(sync) == 0


@given(randoms, st.integers(1, 5), st.integers(1, 30), st.integers(1, 6))
def test_consecutive_keys_may_come_in_any_order_within_the_window(
    rng: random.Random, n_sources: int, n_keys: int, window: int
) -> None:
    sync: Synchroniser[str] = Synchroniser(
        n_sources, window=window, time_limit_ns=LIMIT_NS, consecutive=True, max_step=window
    )
    order = shuffled(rng, n_sources, n_keys, window, is_ascending=False)
    # The first key of all has none before it to wait for, so it has to come first.
    results = feed_all(sync, [(source, 0) for source in range(n_sources)])
    results += feed_all(sync, [(source, key + 1) for source, key in order])
    assert places(results) == [(0, key, ()) for key in range(n_keys + 1)]


@given(randoms, st.integers(1, 4), st.integers(1, 30), st.integers(1, 6), st.floats(0, 1))
def test_what_is_lost_is_named_and_nothing_else_is_missing(
    rng: random.Random, n_sources: int, n_keys: int, window: int, loss: float
) -> None:
    # A source that has lost more than the window cannot be told from one that counts differently.
    lost = frozenset(
        (s, k) for s in range(n_sources) for k in range(1, n_keys) if k % window != 0 and rng.random() < loss
    )
    sync = synchroniser(n_sources, window)
    results = feed_all(sync, shuffled(rng, n_sources, n_keys, window, lost=lost))
    results += sync.flush()
    expected = [(0, k, tuple(s for s in range(n_sources) if (s, k) in lost)) for k in range(n_keys)]
    assert places(results) == [place for place in expected if len(place[2]) < n_sources]
    assert all(
        (payload is None) == ((source, result.key) in lost)
        for result in results
        for source, payload in enumerate(result.payloads)
    )


@given(
    lags=st.lists(st.integers(0, LIMIT_NS - 1), min_size=2, max_size=5),
    period_ns=st.integers(1, 3 * LIMIT_NS),
    n_dead=st.integers(0, 2),
    n_keys=st.integers(1, 60),
)
def test_dead_source_delays_nothing_beyond_the_time_limit_and_a_slow_one_loses_nothing(
    lags: list[int], period_ns: int, n_dead: int, n_keys: int
) -> None:
    n_alive = len(lags)
    sync = synchroniser(n_alive + n_dead, window=1000)
    events = sorted((k * period_ns + lag, s, k) for s, lag in enumerate(lags) for k in range(n_keys))
    delivered: list[int] = []
    for now_ns in range(events[-1][0] + LIMIT_NS + 1):
        results: list[Synchronised[str]] = []
        while events and events[0][0] == now_ns:
            _, source, key = events.pop(0)
            results += feed_all(sync, [(source, key)], now_ns)
        results += sync.poll(now_ns)
        for result in results:
            assert result.missing == tuple(range(n_alive, n_alive + n_dead))
            assert now_ns - (result.key * period_ns + min(lags)) <= LIMIT_NS
        delivered += keys(results)
    assert delivered == list(range(n_keys))


@given(randoms, st.integers(1, 4), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_restarts_in_any_order_keep_the_runs_apart(rng: random.Random, n_sources: int, run_lengths: list[int]) -> None:
    todo = [[(run, key) for run, n_keys in enumerate(run_lengths) for key in range(n_keys)] for _ in range(n_sources)]
    run_of = [0] * n_sources
    sync = synchroniser(n_sources, window=100)
    results: list[Synchronised[str]] = []
    while any(todo):
        # No source is a whole run ahead of another: nobody could tell these runs apart.
        source = rng.choice([s for s in range(n_sources) if todo[s] and todo[s][0][0] <= min(run_of) + 1])
        run, key = todo[source].pop(0)
        results += sync.feed(source, key, f"{run}", 0, restarted=run > run_of[source])
        run_of[source] = run
    assert places(results) == [(run, k, ()) for run, n_keys in enumerate(run_lengths) for k in range(n_keys)]
    assert all(set(result.payloads) == {str(result.epoch)} for result in results)


Step = tuple[int, int, int, bool, bool]  # source, key, nanoseconds since the last one, restarted, poll


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 40), st.booleans(), st.booleans()),
        max_size=200,
    ),
    often_restarted=st.booleans(),
    consecutive=st.booleans(),
    window=st.integers(1, 5),
)
def test_whatever_comes_every_piece_is_accounted_for_in_order_in_time_and_in_bounded_memory(
    steps: Sequence[Step], often_restarted: bool, consecutive: bool, window: int
) -> None:
    pending: dict[int, tuple[int, int, int]] = {}  # payload -> source, key, time
    refused: list[int] = []

    def refuse(reason: Refusal, source: int, key: int, payload: int) -> None:
        refused.append(payload)
        assert pending.pop(payload)[:2] == (source, key)

    sync: Synchroniser[int] = Synchroniser(
        3, window=window, time_limit_ns=LIMIT_NS, consecutive=consecutive, on_refused=refuse
    )
    counters = sync.counters
    last = (-1, -1)
    now_ns = n_delivered = 0

    def take(results: Sequence[Synchronised[int]]) -> None:
        nonlocal last, n_delivered
        for result in results:
            assert last < (result.epoch, result.key)
            last = (result.epoch, result.key)
            assert result.missing == tuple(s for s, payload in enumerate(result.payloads) if payload is None)
            assert len(result.missing) < 3
            for source, payload in enumerate(result.payloads):
                if payload is not None:
                    assert pending.pop(payload)[:2] == (source, result.key)
                    n_delivered += 1

    for payload, (source, key, elapsed_ns, restarted, poll) in enumerate(steps):
        now_ns += elapsed_ns
        pending[payload] = (source, key, now_ns)
        take(sync.feed(source, key, payload, now_ns, restarted and (often_restarted or payload % 16 == 0)))
        if poll:
            take(sync.poll(now_ns))
            assert all(now_ns - fed_ns < LIMIT_NS for _, _, fed_ns in pending.values())
        n_refused = sum(counters.late) + sum(counters.duplicate) + sum(counters.odd)
        assert payload + 1 == n_delivered + n_refused + len(pending)
        assert len(sync) <= (1 + HELD_WINDOWS) * window
        assert len(pending) <= 3 * (1 + HELD_WINDOWS) * window
    take(sync.flush())
    assert not pending
    assert len(sync) == 0
    assert len(refused) == sum(counters.late) + sum(counters.duplicate) + sum(counters.odd)
    assert n_delivered == 3 * (counters.complete + counters.incomplete) - sum(counters.missing)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 40), st.booleans()),
        max_size=200,
    ),
    consecutive=st.booleans(),
    window=st.integers(1, 5),
)
def test_nothing_that_need_not_wait_is_left_for_the_next_call(
    steps: Sequence[tuple[int, int, int, bool]], consecutive: bool, window: int
) -> None:
    sync: Synchroniser[str] = Synchroniser(3, window=window, time_limit_ns=LIMIT_NS, consecutive=consecutive)
    now_ns = 0
    for n, (source, key, elapsed_ns, restarted) in enumerate(steps):
        now_ns += elapsed_ns
        sync.poll(now_ns)
        sync.feed(source, key, "", now_ns, restarted and n % 8 == 0)
        assert sync.poll(now_ns) == []


@pytest.mark.long
def test_memory_does_not_grow_with_keys() -> None:
    sync = synchroniser(3)

    def feed(first: int, n_keys: int) -> None:
        for key in range(first, first + n_keys):  # one source brings every second key, and some come late
            pieces = [(0, key), (1, key)] + ([(2, key)] if key % 2 else [(2, key - 20)])
            feed_all(sync, pieces, now_ns=key * LIMIT_NS // 4)
            sync.poll(key * LIMIT_NS // 4)

    firsts = itertools.count(100, 5000)
    growth = growth_bytes(lambda: feed(next(firsts), 5000))
    assert sum(sync.counters.late) > 2000
    assert growth < 5000
