"""Frame numbers of several modules, as their ports end the frames: who counts for all, and what is published."""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.port_receiver import EndedFrame

MS = 10**6
TIMEOUT_NS = 500 * MS


@dataclass
class Detector:
    """Modules whose frames end after a short time, and what is published: the exposure number is the id of a frame."""

    n_modules: int
    n_links: int = 1
    frame_step: int = 1
    lag_ns: int = 5 * MS
    seed: int = 0
    number: Callable[[int, int, int], int] = lambda _module, _exposure, number: number
    lost: Callable[[int, int], bool] = lambda _module, _exposure: False
    events: list[tuple[int, int, int, EndedFrame]] = field(default_factory=list)

    def __post_init__(self) -> None:
        ports = {module + 8 * link: module for link in range(self.n_links) for module in range(self.n_modules)}
        self.announcer = FrameAnnouncer(ports, window=64, timeout_ns=TIMEOUT_NS, last=None, frame_step=self.frame_step)
        self.published: list[tuple[int, int, int, int]] = []  # epoch, frame number, id, missing modules
        self.statuses: list[int] = []
        self._chance = random.Random(self.seed)
        self._highest: dict[int, int] = {}
        self._epoch: dict[int, int] = {}
        self._busy_until: dict[int, int] = {}
        self._exposure = 0

    def expose(self, at_ns: int, number: int) -> None:
        """Expose once; each module gives the frame its number, and a port that sees it jump back begins an epoch."""
        for module in range(self.n_modules):
            key = self.number(module, self._exposure, number)
            port = module + 8 * (key % self.n_links)
            if self.lost(module, self._exposure):
                continue
            ended_ns = max(at_ns + self._chance.randrange(self.lag_ns + 1), self._busy_until.get(port, 0) + 1)
            self._busy_until[port] = ended_ns
            if key <= self._highest.get(port, -1):
                self._epoch[port] = self._epoch.get(port, 0) + 1
            self._highest[port] = key
            frame = EndedFrame(
                key=key,
                epoch=self._epoch.get(port, 0),
                id=self._exposure,
                pulse_id=0,
                daq_rec=0,
                timestamp=0,
                first_arrival_ns=at_ns,
                last_arrival_ns=ended_ns,
                n_missing_packets=0,
                n_refused_packets=0,
            )
            self.events.append((ended_ns, len(self.events), port, frame))
        self._exposure += 1

    def run(self) -> None:
        heapq.heapify(self.events)
        now_ns = 0
        while self.events:
            ended_ns, _, port, frame = heapq.heappop(self.events)
            while now_ns + 10 * MS < ended_ns:
                now_ns += 10 * MS
                self._note(self.announcer.poll(now_ns))
            now_ns = max(now_ns, ended_ns)
            self._note(self.announcer.feed(port, frame, now_ns))
        for _ in range(200):
            now_ns += 10 * MS
            self._note(self.announcer.poll(now_ns))

    def _note(self, published: Iterator) -> None:
        for raw in published:
            one = raw[0]
            self.published.append(
                (int(one["epoch"]), int(one["frame_index"]), int(one["id"]), int(one["n_missing_modules"]))
            )
            self.statuses.append(int(one["status"]))

    def ids(self) -> list[int]:
        return [image_id for _, _, image_id, _ in self.published]


def expose_series(detector: Detector, lengths: list[int], period_ns: int, pause_ns: int) -> None:
    at_ns = 0
    for length in lengths:
        for number in range(1, length + 1):
            detector.expose(at_ns, number)
            at_ns += period_ns
        at_ns += pause_ns


@settings(max_examples=200, deadline=None)
@given(
    n_modules=st.sampled_from([1, 2, 3, 8]),
    n_links=st.sampled_from([1, 2]),
    lengths=st.lists(st.sampled_from([1, 2, 3, 5, 21]), min_size=1, max_size=8),
    period_ms=st.sampled_from([1, 10, 50]),
    pause_ms=st.sampled_from([50, 120, 500, 2000]),
    seed=st.integers(0, 2**32),
)
def test_short_series_each_numbered_from_1_are_whole(n_modules, n_links, lengths, period_ms, pause_ms, seed):
    detector = Detector(n_modules, n_links, seed=seed, lag_ns=min(period_ms, 10) * MS // 2)
    expose_series(detector, lengths, period_ms * MS, pause_ms * MS)
    detector.run()
    assert detector.published == [
        (series, number, sum(lengths[:series]) + number - 1, 0)
        for series, length in enumerate(lengths)
        for number in range(1, length + 1)
    ]


@settings(max_examples=200, deadline=None)
@given(
    n_modules=st.sampled_from([3, 4, 8]),
    lengths=st.lists(st.sampled_from([3, 5, 21]), min_size=1, max_size=8),
    period_ms=st.sampled_from([1, 10, 50]),
    pause_ms=st.sampled_from([120, 500, 2000]),
    seed=st.integers(0, 2**32),
)
def test_frames_that_a_module_loses_are_missing_there_and_nowhere_else(n_modules, lengths, period_ms, pause_ms, seed):
    chance = random.Random(seed)
    # Losses at both ends of a pause may leave numbers that go on as if there had been no restart; only pulse ids tell.
    ends = {sum(lengths[:i]) - 1 for i in range(len(lengths) + 1)}
    inner = [exposure for exposure in range(sum(lengths)) if exposure not in ends]
    lost = {exposure: chance.randrange(n_modules) for exposure in inner if chance.random() < 0.2}
    detector = Detector(n_modules, seed=seed, lost=lambda module, exposure: lost.get(exposure) == module)
    expose_series(detector, lengths, period_ms * MS, pause_ms * MS)
    detector.run()
    assert [(image_id, missing) for _, _, image_id, missing in detector.published] == [
        (e, int(e in lost)) for e in range(sum(lengths))
    ]


ODD = {
    "jumps ahead": lambda exposure, number: number + (5000 if exposure >= 20 else 0),
    "jumps ahead a little": lambda exposure, number: number + (4 if exposure >= 20 else 0),
    "counts far ahead from the start": lambda _, number: number + 900,
    "restarts alone": lambda exposure, number: exposure - 19 if exposure >= 20 else number,
    "has random numbers": lambda exposure, _: random.Random(exposure).randrange(2**40),
    "stands still": lambda exposure, number: 7 if exposure >= 20 else number,
}


# Of two modules that differ from the start, nobody knows which one is odd. A jump of a few milliseconds may be a lag.
CASES = [
    (how, n_modules, period_ms)
    for how in ODD
    for n_modules in (2, 3, 8)
    for period_ms in (1, 50, 200, 1000)
    if (how, n_modules) != ("counts far ahead from the start", 2) and (how, period_ms) != ("jumps ahead a little", 1)
]


@pytest.mark.parametrize(("how", "n_modules", "period_ms"), CASES)
def test_one_module_that_counts_differently_costs_the_others_no_image(how, n_modules, period_ms):
    odd = n_modules - 1
    detector = Detector(
        n_modules,
        number=lambda module, exposure, number: ODD[how](exposure, number) if module == odd else number,
    )
    for exposure in range(60):
        detector.expose(exposure * period_ms * MS, 100 + exposure)
    detector.run()
    assert detector.ids() == list(range(60))
    assert {epoch for epoch, *_ in detector.published} == {0}
    assert detector.announcer.n_unused()[0] == 0
    if period_ms >= 50:
        is_marked = [bool(status & ImageStatus.RENUMBERED) for status in detector.statuses]
        assert all(is_marked[-10:])
        assert list(detector.announcer.frames_ahead()) == [odd]


@pytest.mark.parametrize("period_ms", [1, 200])
def test_frames_of_a_detector_that_sends_to_several_servers_in_turn_do_not_jump(period_ms):
    detector = Detector(2, frame_step=4, lag_ns=0, lost=lambda module, exposure: module == 0 and exposure == 20)
    for exposure in range(60):
        detector.expose(exposure * period_ms * MS, 101 + 4 * exposure)
    detector.run()
    assert detector.ids() == list(range(60))
    assert [missing for *_, missing in detector.published] == [int(exposure == 20) for exposure in range(60)]
    assert detector.announcer.n_renumbered() == {0: 0, 1: 0}


@pytest.mark.parametrize("period_ms", [1, 50, 1000])
def test_two_of_four_modules_that_jump_are_odd(period_ms):
    detector = Detector(4, number=lambda module, exposure, number: number + 3000 * (module % 2 and exposure >= 20))
    for exposure in range(60):
        detector.expose(exposure * period_ms * MS, 100 + exposure)
    detector.run()
    assert detector.ids() == list(range(60))
    assert [missing for *_, missing in detector.published[20:]] == [2] * 40


@pytest.mark.parametrize("gap", [2, 70, 5000, 2**20])
@pytest.mark.parametrize("period_ms", [1, 50, 1000])
def test_jump_of_all_modules_is_a_gap_within_the_epoch(gap, period_ms):
    detector = Detector(3)
    for exposure in range(60):
        detector.expose(exposure * period_ms * MS, 100 + exposure + gap * (exposure >= 20))
    detector.run()
    assert [image[:3] for image in detector.published] == [
        (0, 100 + exposure + gap * (exposure >= 20), exposure) for exposure in range(60)
    ]
    assert all(missing == 0 for *_, missing in detector.published)


@pytest.mark.parametrize("n_dead", [1, 2])
def test_module_that_was_dead_is_back_at_once(n_dead):
    detector = Detector(4, lost=lambda module, exposure: module < n_dead and 20 <= exposure < 100)
    for exposure in range(140):
        detector.expose(exposure * 50 * MS, 100 + exposure)
    detector.run()
    assert detector.ids() == list(range(140))
    assert [missing for *_, missing in detector.published] == [0] * 20 + [n_dead] * 80 + [0] * 40


@pytest.mark.parametrize("first", [1, 500])
def test_majority_that_restarts_goes_on_without_the_module_that_does_not(first):
    detector = Detector(
        3, number=lambda module, exposure, number: number if module == 0 or exposure < 20 else exposure - 20 + first
    )
    for exposure in range(60):
        detector.expose(exposure * 50 * MS, 100 + exposure)
    detector.run()
    # The exposure of the restart may be published twice: the module that goes on had brought its frame first.
    assert sorted(set(detector.ids())) == list(range(60))
    assert [missing for *_, missing in detector.published if missing < 2][20:] == [1] * 40
    assert len(detector.published) <= 61
    assert list(detector.announcer.frames_ahead()) == [0]


def test_module_that_dies_at_a_restart_costs_the_others_nothing():
    detector = Detector(2, lost=lambda module, exposure: module == 1 and exposure >= 20)
    expose_series(detector, [20, 20, 20], 10 * MS, 120 * MS)
    detector.run()
    assert detector.ids() == list(range(60))
