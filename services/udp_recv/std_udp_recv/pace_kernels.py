"""Pace: how long to sleep once the socket is empty, from how fast the packets of a frame came. Compiled, no clock.

Sleeping lets packets gather, which is cheaper than to wake up for each few; but what gathers after the last packet of a
frame is only late. So a sleep lasts until the frame is expected to be whole, at most the latency budget. What comes in
one burst is then taken after one sleep that ends with it; what comes evenly spread is taken every budget and at the end
of each frame.

How long the packets of a frame take is measured from one moment at which the socket is empty to the next, because then
all that has come is known. If the frame is still open at the second, this is its pace. If it is whole, it may have been
so for some time: the measured time is an upper bound, and as the pace a sixteenth less is tried, until a sleep ends a
little too soon and the true pace is measured again.
"""

from typing import Any

from std_udp_recv.libc_kernels import compilable
from std_udp_recv.records import Record, integers, make_record

PACE = integers("key", "seen_ns", "seen_units", "frame_ns")
"""What is noted: the frame that was open when the socket was first empty after its first packets, or `NO_FRAME`; when
that was; how many of its units had come by then; how long a whole frame takes."""
NO_FRAME = -1

MIN_SLEEP_US = 20
"""No sleep is shorter: falling asleep and waking up take as long."""
_MAX_FRAME_NS = 10**10


def make_pace() -> Record:
    """Return the notes before the first frame."""
    return make_record(PACE, key=NO_FRAME, frame_ns=_MAX_FRAME_NS)


@compilable
def sleep_us(pace: Record, key: int, n_come: int, n_units: int, now_ns: int, budget_us: int) -> Any:
    """Return how long to sleep, now that the socket is empty after packets have come.

    Parameters
    ----------
    pace
        From `make_pace`; changed.
    key
        The newest frame.
    n_come
        How far it has come: the unit behind the last one received.
    n_units
        Units of a frame.
    now_ns
        Monotonic time.
    budget_us
        The longest sleep, in microseconds.
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
