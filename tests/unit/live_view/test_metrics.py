"""The metrics of a live view: nothing is counted twice or lost where sources are exchanged, and ages are of now."""

from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from std_live_view.frame_hub import FrameHub
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.metrics import LiveViewMetrics
from std_live_view.sources.source import SourceState
from std_live_view.streams import Streams


class Source:
    name = "a source"

    def __init__(self, n_refused: int = 0) -> None:
        self.state = SourceState(n_refused=n_refused)

    async def open(self) -> None: ...
    async def run(self) -> None: ...
    async def close(self) -> None: ...


class Shown:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = LiveViewMetrics(self.registry)
        self.hub, self.uploads = FrameHub(4, 100, lambda: 0.0), SourceState()

    def update(self, *sources: Source, now_s: float = 0.0) -> None:
        self.metrics.update(self.hub, Streams(4), sources, self.uploads, round(now_s * 1e9))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"daq_live_view_{name}", labels)


def frame_of(module_id: int, at_s: float, header: dict[str, Any]) -> LiveFrame:
    return LiveFrame(
        FrameKey(module_id, "ph256"),
        is_pulse_height=True,
        header=header,
        pixels=np.ones((16, 16), "<i2"),
        file="",
        frame_number=0,
        server_ns=round(at_s * 1e9),
    )


def test_refused_pieces_of_all_sources_count_once_whichever_are_open() -> None:
    shown, first, second = Shown(), Source(), Source(2)
    shown.update(first)
    first.state.n_refused = 5
    shown.update(first, second)
    first.state.n_refused = 6  # just before it is closed
    shown.uploads.n_refused = 3
    shown.update(second)
    for _ in range(20):  # an address of one that is gone is soon that of another
        shown.update(Source(1))
    assert shown.value("refused_total") == 6 + 2 + 3 + 20


def test_age_is_that_of_the_newest_board_and_of_modules_that_are_shown() -> None:
    shown = Shown()
    for board, at_s in ((0, 7.0), (1, 9.0), (2, 8.0)):
        shown.hub.publish(frame_of(1, at_s, {"quabo_num": board}))
    shown.hub.publish(frame_of(2, 4.0, {}))
    shown.update(now_s=10.0)
    assert shown.value("age_seconds", module="1", product="ph256") == pytest.approx(1.0)
    assert shown.value("age_seconds", module="2", product="ph256") == pytest.approx(6.0)
    assert shown.value("frames_total") == 4
    shown.hub.begin([2])
    shown.hub.publish(frame_of(1, 9.0, {}))
    shown.hub.publish(frame_of(2, 9.5, {}))
    shown.update(now_s=10.0)
    assert shown.value("age_seconds", module="1", product="ph256") is None
    assert shown.value("age_seconds", module="2", product="ph256") == pytest.approx(0.5)
    assert shown.value("left_out_total", reason="unwanted_module") == 1
