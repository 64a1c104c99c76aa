"""From TCP to built events of a chamber of 40 boards: GB that one core takes in a second.

Another process sends events over loopback, and waits while eight of them are not built. Cases: the boards are brought
together by the headers of their frames, and nothing is decoded; frames with zero suppression, 2.9 MB an event, are
decoded into the ring; frames of a full readout, 11.2 MB an event, are.

Rates are for processor time, of all threads, with what the kernel takes for the connection. The *reference* is the
least that any receiver does: it copies the same bytes from the kernel into one buffer, which stays in the cache.
"""

from collections.abc import Iterator
from functools import partial

from std_benchmarks.building.receivers import build_events, build_headers, read_bare
from std_benchmarks.building.sender import FULL, PARTIAL
from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns

N_EVENTS = {PARTIAL: 120, FULL: 40}
HEADERS, DECODED = Target.at_least(2.0), {PARTIAL: Target.at_least(1.2), FULL: Target.at_least(0.6)}
_NAMES = {PARTIAL: "zero suppression", FULL: "full readout"}


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate of each case."""
    for readout, n_events in N_EVENTS.items():
        setting.progress(_NAMES[readout])
        headers, events, bare = take_turns(
            [
                partial(build_headers, readout, n_events),
                partial(build_events, readout, n_events, setting.folder, setting.shm),
                partial(read_bare, readout, n_events),
            ],
            setting.repeats,
        )
        for what, ours, target in (("by headers", headers, HEADERS), ("decoded", events, DECODED[readout])):
            ratios = [one / other for one, other in zip(ours, bare, strict=True)]
            details = {
                "bare recv_into, GB/s": sorted(bare)[len(bare) // 2],
                "ratio to it": sorted(ratios)[len(ratios) // 2],
            }
            yield Figure(f"events built, {_NAMES[readout]}, {what}", "GB/s", ours, target=target, details=details)
