"""The table of the boards, and other drawings of the readout."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.pads.channel_map import PAD, ChannelMap, MappedChannel
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.view.board_table import BoardTable, table_text
from std_daq.tpc.view.reading_drawing import BOARDS, LogDrawing, TextDrawing, WaveformDrawing
from std_daq.view3d.recording_file import write_recording
from std_test_kit.rerun_recordings import read_recording

BOARDS_OF_PLANE = ((0, 0), (0, 1))


def _traces(*rows: tuple[int, int, int, int, int], sigma: float = 4.0, seed: int = 0) -> NDArray[np.int16]:
    samples = np.random.default_rng(seed).normal(300, sigma, (len(rows), 512))
    return np.concatenate([np.array(rows), samples.round()], axis=1).astype(np.int16)


def _plane() -> PadPlane:
    channels = [MappedChannel(0, asad, 0, channel, PAD, asad * 2 + channel) for asad in (0, 1) for channel in (0, 1)]
    return PadPlane(ChannelMap.of(channels))


def test_events_losses_and_rates_are_counted_for_each_board() -> None:
    table = BoardTable(_plane(), BOARDS_OF_PLANE)
    for number in range(10):
        table.count([(0, 1)] if number % 5 == 0 else [])
    first, second = table.rows(elapsed_s=2.0)
    assert (first.board, first.n_events, first.n_missing, first.rate_hz, first.loss) == ((0, 0), 10, 0, 5.0, 0)
    assert (second.board, second.n_events, second.n_missing, second.rate_hz, second.loss) == ((0, 1), 8, 2, 4.0, 0.2)
    table.count([])
    assert [row.rate_hz for row in table.rows(elapsed_s=0.5)] == [2, 2]


def test_noise_is_that_of_a_channel_without_its_signal() -> None:
    traces = _traces((0, 0, 0, 0, 0), (0, 0, 0, 1, 1), sigma=4.0)
    traces[0, 100:140] += 2000
    table = BoardTable(_plane(), BOARDS_OF_PLANE)
    table.look(traces)
    first, second = table.rows(1.0)
    assert first.readout.noise is not None
    assert 3.5 < first.readout.noise < 4.5
    assert second.readout.noise is None


def test_samples_that_were_not_sent_are_no_noise() -> None:
    traces = _traces((0, 0, 0, 0, 0))
    traces[0, 5 + 20 :] = 0
    table = BoardTable(_plane(), BOARDS_OF_PLANE)
    table.look(traces)
    assert table.rows(1.0)[0].readout.noise is None


def test_channels_that_say_nothing_are_silent() -> None:
    table = BoardTable(_plane(), BOARDS_OF_PLANE)
    assert [row.readout.n_silent for row in table.rows(1.0)] == [None, None]
    traces = _traces((0, 0, 0, 0, 0), (0, 0, 0, 1, 1))
    traces[1, 5:] = 300  # sent, and always the same
    table.look(traces)
    assert [(row.readout.n_silent, row.readout.n_channels) for row in table.rows(1.0)] == [(1, 2), (2, 2)]
    table.look(_traces((0, 0, 0, 1, 1)))
    assert [row.readout.n_silent for row in table.rows(1.0)] == [0, 2]


def test_a_board_that_is_not_expected_has_a_row_and_no_map() -> None:
    table = BoardTable(PadPlane(), [])
    table.look(_traces((3, 2, 0, 5, 7)))
    table.count([])
    (row,) = table.rows(1.0)
    assert (row.board, row.n_events, row.readout.n_channels, row.readout.n_silent) == ((3, 2), 1, None, None)


def test_a_new_run_begins_from_0() -> None:
    table = BoardTable(_plane(), BOARDS_OF_PLANE)
    table.count([(0, 0)])
    table.look(_traces((0, 0, 0, 0, 0)))
    table.reset()
    assert [(row.n_events, row.n_missing, row.readout.noise) for row in table.rows(1.0)] == [(0, 0, None)] * 2


def test_the_text_has_a_line_for_each_board() -> None:
    table = BoardTable(_plane(), BOARDS_OF_PLANE)
    table.count([(0, 1)])
    table.count([])
    lines = table_text(table.rows(1.0), table.n_looked_at).splitlines()
    assert lines[2] == "| 0 | 0 | 2 | 2.0 | 0 |  |  |"
    assert lines[3] == "| 0 | 1 | 1 | 1.0 | 1 (50.0 %) |  |  |"
    assert lines[-1] == "Noise and silent channels: from 0 events."


def test_waveforms_are_those_of_the_chosen_pads(tmp_path: Path) -> None:
    traces = _traces((0, 0, 0, 0, 0), (0, 0, 0, 1, 7))
    drawing = WaveformDrawing.of_traces(1, 5, traces, (7, 9))
    write_recording(tmp_path / "x.rrd", "app", [drawing])
    recording = read_recording(tmp_path / "x.rrd")
    row = recording.row("/waveforms/pad_7")
    assert row.times["event_time"] == 10_000_000_005
    assert row.components["BarChart:values"][0]["buffer"] == traces[1, 5:].tolist()
    assert "/waveforms/pad_9" not in recording.rows
    assert recording.row("/waveforms").components["Clear:is_recursive"] == [True]


def test_texts_replace_those_before_and_lines_of_the_log_do_not(tmp_path: Path) -> None:
    drawings = [TextDrawing(BOARDS, "a"), TextDrawing(BOARDS, "b"), LogDrawing("INFO", "a"), LogDrawing("WARN", "b")]
    write_recording(tmp_path / "x.rrd", "app", drawings)
    rows = read_recording(tmp_path / "x.rrd").rows
    assert [row.components["TextDocument:text"] for row in rows["/boards"]][-1] == ["b"]
    assert all(row.is_static for row in rows["/boards"])
    assert [(row.components["TextLog:text"], row.components["TextLog:level"]) for row in rows["/logs/handler"]] == [
        (["a"], ["INFO"]),
        (["b"], ["WARN"]),
    ]
