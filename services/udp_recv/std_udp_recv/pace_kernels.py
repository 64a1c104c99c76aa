"""Pace: how long to sleep when the socket is empty, from how fast the packets of a frame came. Compiled, no clock.

During a sleep packets gather in the socket, which is cheaper than a wake-up for every few packets. But a sleep beyond
the last packet of a frame only delays the frame. So a sleep lasts until the frame is expected to be whole, at most for
the latency budget. Two examples: a frame that comes in one burst is taken after one sleep, which ends with the burst. A
frame whose packets are spread evenly is taken once every latency budget, and at its end.

The time that the packets of a frame take is measured between two moments at which the socket is empty, because then it
is known which packets have come. If the frame is still open at the second moment, the measured time is exact. If the
frame is whole, it may have been whole for some time, so the measured time is an upper bound. In that case a sixteenth
less is assumed. With each frame the assumed time becomes shorter, until a sleep ends a little too soon; then the exact
time is measured again.
"""

from typing import Any

from std_udp_recv.libc_kernels import compilable
from std_udp_recv.records import Record, integers, make_record

PACE = integers("key", "seen_ns", "seen_units", "frame_ns")
"""Start of the present measurement: key of the frame that was open when the socket was empty for the first time after
the frame's first packets, or `NO_FRAME`; the time of that moment; how many units had come by then. And the result: how
long a whole frame takes."""
NO_FRAME = -1

MIN_SLEEP_US = 20
"""Shortest sleep: falling asleep and waking up take about this long."""
_MAX_FRAME_NS = 10**10


def make_pace() -> Record:
    """Return a `PACE` before the first frame."""
    return make_record(PACE, key=NO_FRAME, frame_ns=_MAX_FRAME_NS)


@compilable
def sleep_us(pace: Record, key: int, n_come: int, n_units: int, now_ns: int, budget_us: int) -> Any:
    """Return how long to sleep, in microseconds, when the socket is empty after packets have come.

    Parameters
    ----------
    pace
        A `PACE` from `make_pace`; it is updated.
    key
        Key of the newest frame.
    n_come
        Progress of the newest frame: index of the unit behind the last received one.
    n_units
        Number of units of a frame.
    now_ns
        Monotonic time in nanoseconds.
    budget_us
        Longest sleep, in microseconds.
    """
    is_same = pace.key == key
    if pace.key != NO_FRAME:
        n_new = (n_come if is_same else n_units) - pace.seen_units
        if n_new > 0:
            frame_ns = min(_MAX_FRAME_NS, (now_ns - pace.seen_ns) * n_units // n_new)
            if is_same and n_come < n_units:
                pace.frame_ns = frame_ns
            else:
                pace.frame_ns = min(pace.frame_ns, frame_ns) * 15 // 16
    if n_come >= n_units:
        pace.key = NO_FRAME
        return budget_us
    if not is_same:
        pace.key, pace.seen_ns, pace.seen_units = key, now_ns, n_come
    rest_us = pace.frame_ns * (n_units - n_come) // n_units // 1000
    return min(budget_us, max(rest_us, MIN_SLEEP_US))
