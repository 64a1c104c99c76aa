"""The plots: limits of colours, histograms, captions, and what is drawn without a display."""

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from std_daq.telescope.captions import image_caption, overall_caption
from std_daq.telescope.display import has_display
from std_daq.telescope.plots import PanoImagePreviewer, PulseHeightDistribution
from std_daq.telescope.plots.colour_limits import ColourLimits
from std_daq.telescope.plots.pulse_height_distribution import histogram, smooth

RUN_FILE = "start_2024-07-25T04_34_46Z.dp_img16.bpp_2.module_1.seqno_0.pff"


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def parsed(kind: str = "MOVIE", module_id: int = 1, pixels: Any = None, **header: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "header": header,
        "image_array": np.arange(64).reshape(8, 8) if pixels is None else pixels,
        "file": RUN_FILE,
        "frame_number": 17,
        "module_id": module_id,
    }


def test_single_bright_image_does_not_change_the_limits_much() -> None:
    limits = ColourLimits(window_size=10)
    assert limits.limits == (0.0, 1.0)
    for brightest in (100, 100, 100, 100, 100, 100, 100, 100, 100, 100):
        limits.add(np.array([10, brightest]))
    assert limits.limits == (10.0, 100.0)
    limits.add(np.array([10, 60000]))
    assert limits.limits[1] == pytest.approx(100 + 0.55 * 59900)  # the 95 % quantile lies between the last two of ten
    for _ in range(10):
        limits.add(np.array([5, 5]))
    assert limits.limits == (5.0, 6.0)
    limits.add(np.array([]))


def test_caption_tells_type_board_time_number_and_file_in_short_lines() -> None:
    image = parsed("PULSE_HEIGHT", quabo_num=3, pandas_unix_timestamp=np.datetime64("2025-01-02T03:04:05.678901", "ns"))
    caption = image_caption(image, 30)
    assert caption.splitlines()[:3] == ["pulse height quabo 3", "2025-01-02 03:04:05.678 UTC", "frame 17"]
    assert "".join(caption.splitlines()[3:]) == RUN_FILE
    assert max(map(len, caption.splitlines())) <= 30
    assert image_caption(parsed() | {"file": ""}, 30) == "movie\nframe 17"
    assert overall_caption(RUN_FILE, [1, 3]) == "run of 2024-07-25 04:34:46 UTC, modules 1, 3"
    assert overall_caption("uds_img16", []) == "modules none yet"


def test_histogram_is_a_density_in_75_bins_and_its_curve_keeps_the_area() -> None:
    heights = Counter({100: 30, 120: 50, 200: 20})
    density, edges = histogram(heights)
    assert len(density) == 75
    assert (density * np.diff(edges)).sum() == pytest.approx(1.0)
    curve = smooth(density)
    assert curve.shape == density.shape
    assert curve.sum() == pytest.approx(density.sum())
    assert curve.max() < density.max()
    assert histogram(Counter({5: 3}))[0].sum() > 0


def colours_in(png: Path) -> int:
    with Image.open(png) as picture:
        return len(picture.getcolors(2**24))


@pytest.mark.long
def test_previewer_has_a_row_for_each_module_and_draws_every_shape(tmp_path: Path) -> None:
    previewer = PanoImagePreviewer(True, True, (1, 2, 3), plot_update_interval=0.0)
    previewer.save(tmp_path / "empty.png")
    previewer.update(parsed(module_id=2))
    previewer.update(parsed("PULSE_HEIGHT", module_id=2, pixels=np.full((16, 16), -7, np.int16)))
    previewer.update(parsed(module_id=1, pixels=np.ones((3, 500, 400), np.uint32)))
    previewer.update(parsed(module_id=1, pixels=np.arange(7)))
    previewer.update(parsed(module_id=9))
    previewer.save(tmp_path / "now.png")
    titles = [axes.get_title().split(",")[0].split("\n")[0] for axes in previewer.canvas.figure.axes]
    assert [title for title in titles if title] == ["module 1: no pulse height yet", "module 1", "module 2", "module 2"]
    assert colours_in(tmp_path / "now.png") > colours_in(tmp_path / "empty.png") + 20
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty.png", "now.png"]


def test_previewer_shows_only_the_types_that_are_asked_for() -> None:
    previewer = PanoImagePreviewer(False, True, plot_update_interval=0.0)
    previewer.update(parsed("MOVIE"))
    previewer.update(parsed("PULSE_HEIGHT", module_id=4))
    (axes,) = (axes for axes in previewer.canvas.figure.axes if axes.images)
    assert axes.get_title().startswith("module 4, pulse height")


def test_panels_of_the_distribution_begin_anew_when_their_duration_is_over(tmp_path: Path) -> None:
    now_s = [0.0]
    distribution = PulseHeightDistribution([10, 60], (1,), 0.0, clock=lambda: now_s[0])

    def labels() -> list[list[str]]:
        return [axes.get_legend_handles_labels()[1] for axes in distribution.canvas.figure.axes]

    distribution.update(parsed("MOVIE"))
    for now_s[0] in (1.0, 2.0, 11.0):
        distribution.update(parsed("PULSE_HEIGHT", module_id=1))
        distribution.update(parsed("PULSE_HEIGHT", module_id=2))
    assert labels() == [["module 1: 1 images"], ["module 1: 3 images"]]
    distribution.save(tmp_path / "now.png")
    assert colours_in(tmp_path / "now.png") > 20


def test_nothing_is_drawn_more_often_than_once_per_period() -> None:
    now_s = [0.0]
    distribution = PulseHeightDistribution([10], (), 5.0, clock=lambda: now_s[0])
    n_drawn = []
    distribution.draw = lambda: (n_drawn.append(now_s[0]), distribution.canvas.show())  # type: ignore[method-assign,func-returns-value,assignment]
    for now_s[0] in (0.0, 1.0, 4.9, 5.0, 9.0, 10.0):
        distribution.update(parsed("PULSE_HEIGHT"))
    assert n_drawn == [0.0, 5.0, 10.0]


def test_notebook_shows_one_figure_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    shown: list[str] = []

    class Handle:
        def update(self, figure: Any) -> None:
            shown.append("updated")

    module = ModuleType("IPython.display")
    module.display = lambda figure, display_id: (shown.append("displayed"), Handle())[1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    previewer = PanoImagePreviewer(True, False, plot_update_interval=0.0, jupyter_notebook=True)
    previewer.update(parsed())
    previewer.update(parsed())
    assert shown == ["displayed", "updated"]


def test_display_is_one_that_matplotlib_can_draw_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    import matplotlib.pyplot as plt

    for backend, draws in (("agg", False), ("TkAgg", True)):
        monkeypatch.setattr(plt, "get_backend", lambda backend=backend: backend)
        assert has_display() == draws
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PanoImagePreviewer(True, True, in_window=False).draw()
