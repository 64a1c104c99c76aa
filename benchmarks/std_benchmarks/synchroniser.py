"""How many frames a second the synchroniser brings together, on one core.

A frame is one piece that one source brings; an exposure needs one of each source. In order: every source brings a
frame before any brings the next. Shuffled: each frame comes up to `SPREAD` keys late, those of one source out of
order too, so that hundreds of exposures are open at a time; the order is the same in every run.

The target is about the rate itself. Beside it stands what plain dictionaries do in the same turns with the same frames:
one for each exposure, dropped when it is full. That is the least that any implementation in Python has to do, and gives
no order, no limit of time or memory, and no account of what is missing, late or there twice. Rates are for
processor time. Each exposure has to come out once, ascending, with the frames of all its sources.
"""

import random
import statistics
import time
from collections.abc import Iterator
from functools import partial

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.sync.synchroniser import Synchronised, Synchroniser

N_SOURCES = (2, 8, 32, 72)
N_FRAMES = 100_000
SPREAD = 64
WINDOW = 256
SEED = 4

IN_ORDER = Target.at_least(500_000)
SHUFFLED = Target.at_least(200_000)

Frame = tuple[int, int]  # source, key


def measure(setting: Setting) -> Iterator[Figure]:
    """Give a figure for each number of sources and each order."""
    for n_sources in N_SOURCES:
        setting.progress(f"{n_sources} sources")
        frames = in_order(n_sources, N_FRAMES // n_sources)
        without_one = [frame for frame in frames if frame[0] != n_sources - 1]
        ours, plain, dead = take_turns(
            [
                partial(synchronise, frames, n_sources),
                partial(collect, frames, n_sources),
                partial(synchronise, without_one, n_sources, n_missing=1),
            ],
            setting.repeats,
        )
        details = {"plain dictionaries": statistics.median(plain), "one source dead": statistics.median(dead)}
        yield Figure(f"synchroniser, {n_sources} sources", "frames/s", ours, target=IN_ORDER, details=details)
        frames = shuffled(n_sources, N_FRAMES // n_sources)
        ours, plain = take_turns(
            [partial(synchronise, frames, n_sources), partial(collect, frames, n_sources)], setting.repeats
        )
        details = {"plain dictionaries": statistics.median(plain)}
        yield Figure(f"synchroniser, {n_sources} sources, shuffled", "frames/s", ours, target=SHUFFLED, details=details)


def in_order(n_sources: int, n_keys: int) -> list[Frame]:
    """Every source brings a key before the next key begins."""
    return [(source, key) for key in range(n_keys) for source in range(n_sources)]


def shuffled(n_sources: int, n_keys: int) -> list[Frame]:
    """Each frame comes up to `SPREAD` keys late; the first key, which has none before it to wait for, comes first."""
    rng = random.Random(SEED)
    frames = in_order(n_sources, n_keys)
    frames.sort(key=lambda frame: frame[1] and frame[1] + SPREAD * rng.random())
    return frames


def synchronise(frames: list[Frame], n_sources: int, n_missing: int = 0) -> float:
    """Feed all frames; the last ``n_missing`` sources bring none, and the window pushes each exposure out.

    Returns
    -------
    Frames a second of processor time.
    """
    # Keys count up by one, so that those of a source may come out of order.
    synchroniser: Synchroniser[int] = Synchroniser(
        n_sources, window=WINDOW, time_limit_ns=10**9, consecutive=True, max_step=SPREAD
    )
    feed = synchroniser.feed
    done: list[Synchronised[int]] = []
    started = time.thread_time()
    for now_ns, (source, key) in enumerate(frames):
        done += feed(source, key, key, now_ns)
    done += synchroniser.flush()
    elapsed_s = time.thread_time() - started
    n_alive = n_sources - n_missing
    if [result.key for result in done] != list(range(len(frames) // n_alive)):
        raise AssertionError("exposures are lost, or out of order")
    if any(result.payloads != [result.key] * n_alive + [None] * n_missing for result in done):
        raise AssertionError("frames are lost, or in the wrong exposure")
    return len(frames) / elapsed_s


def collect(frames: list[Frame], n_sources: int) -> float:
    """Put all frames into plain dictionaries, and drop each that is full; returns frames a second as well."""
    keys: dict[int, dict[int, int]] = {}
    started = time.thread_time()
    for source, key in frames:
        payloads = keys.setdefault(key, {})
        payloads[source] = key
        if len(payloads) == n_sources:
            del keys[key]
    elapsed_s = time.thread_time() - started
    if keys:
        raise AssertionError("exposures are lost")
    return len(frames) / elapsed_s
