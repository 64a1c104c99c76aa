"""Pieces a second through the synchroniser, beside the same pieces stored in plain dictionaries.

    python benchmarks/bench_synchroniser.py [--n-pieces 200000]

The reference does the least that any implementation has to do: one dictionary a key, dropped when it is full.
"""

import argparse
import time
from collections.abc import Callable

from std_daq.sync.synchroniser import Synchroniser

REPEATS = 3

Piece = tuple[int, int]  # source, key
Feed = Callable[[list[Piece], int], int]


def in_turn(n_sources: int, n_keys: int) -> list[Piece]:
    """Every source brings a key before the next key begins."""
    return [(source, key) for key in range(n_keys) for source in range(n_sources)]


def staggered(n_sources: int, n_keys: int) -> list[Piece]:
    """Each source is two keys behind the one before, so that many keys are open."""
    lags = [2 * source for source in range(n_sources)]
    return [
        (source, key - lag)
        for key in range(n_keys + max(lags))
        for source, lag in enumerate(lags)
        if 0 <= key - lag < n_keys
    ]


def without_one(n_sources: int, n_keys: int) -> list[Piece]:
    """The last source is dead: the window pushes every key out."""
    return [piece for piece in in_turn(n_sources, n_keys) if piece[0] < n_sources - 1]


def feed_dictionaries(pieces: list[Piece], n_sources: int) -> int:
    keys: dict[int, dict[int, int]] = {}
    n_complete = 0
    for source, key in pieces:
        payloads = keys.setdefault(key, {})
        payloads[source] = key
        if len(payloads) == n_sources:
            del keys[key]
            n_complete += 1
    return n_complete


def feed_synchroniser(pieces: list[Piece], n_sources: int) -> int:
    synchroniser: Synchroniser[int] = Synchroniser(n_sources, window=256, time_limit_ns=10**9)
    feed = synchroniser.feed
    n_delivered = 0
    for now_ns, (source, key) in enumerate(pieces):
        n_delivered += len(feed(source, key, key, now_ns))
    return n_delivered + len(synchroniser.flush())


def best_rate_hz(feed: Feed, pieces: list[Piece], n_sources: int) -> float:
    times_s = []
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        feed(pieces, n_sources)
        times_s.append(time.perf_counter() - start_s)
    return len(pieces) / min(times_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pieces a second through the synchroniser.")
    parser.add_argument("--n-pieces", type=int, default=200_000, help="of each case, about")
    n_pieces = parser.parse_args().n_pieces
    print(f"{'sources':>7} {'pieces':<12} {'synchroniser':>14} {'dictionaries':>14} {'ratio':>6}")
    for n_sources in (2, 8, 72):
        for order in (in_turn, staggered, without_one):
            pieces = order(n_sources, n_pieces // n_sources)
            ours = best_rate_hz(feed_synchroniser, pieces, n_sources)
            reference = best_rate_hz(feed_dictionaries, pieces, n_sources)
            rates = f"{ours:>12.0f}/s {reference:>12.0f}/s {ours / reference:>6.2f}"
            print(f"{n_sources:>7} {order.__name__:<12} {rates}")


if __name__ == "__main__":
    main()
