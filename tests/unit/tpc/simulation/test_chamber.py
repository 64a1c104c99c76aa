import numpy as np
import pytest

from std_daq.errors import ConfigError
from std_daq.tpc.electronics import FPN_CHANNELS
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.pads.attpc_plane import attpc_positions
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import DetectorParameters
from std_daq.tpc.simulation.chamber import ElectronicsModel, SimulatedChamber
from std_daq.tpc.simulation.invented_map import invented_map
from std_daq.tpc.simulation.pad_finder import PadFinder
from std_daq.tpc.simulation.readout import OTHER_CLOCK_TICKS, Readout
from std_daq.tpc.simulation.tracks import PROTON, Gas, Track, follow

BOARDS = ((0, 0), (0, 1), (10, 0))
DETECTOR = DetectorParameters()


def plane(boards: tuple[tuple[int, int], ...] = BOARDS) -> PadPlane:
    return PadPlane(invented_map(boards, 10_240), attpc_positions())


def quiet() -> ElectronicsModel:
    return ElectronicsModel(noise=0.0, baselines=(300.0, 300.0), diffusion_v=0.0, threshold=0.5)


def test_events_are_a_function_of_seed_and_number() -> None:
    events = [SimulatedChamber(plane(), BOARDS, DETECTOR, seed=seed).event(n) for seed, n in ((1, 2), (1, 2), (2, 2))]
    assert events[0].tracks == events[1].tracks != events[2].tracks
    for board in BOARDS:
        np.testing.assert_array_equal(events[0].samples[board], events[1].samples[board])


def test_signals_lie_where_and_when_the_track_passes() -> None:
    boards = tuple((cobo, asad) for cobo in range(10) for asad in range(4))
    pads = PadPlane(invented_map(boards), attpc_positions())
    chamber = SimulatedChamber(pads, boards, DETECTOR, electronics=quiet())
    track = Track(PROTON, 0.6, (0.0, 0.0, 400.0), np.pi / 2, 0.0)
    path, _ = follow(track, Gas(), field_t=3.0, length_mm=1000.0, radius_mm=280.0)
    event = chamber.event_of((track,), np.random.default_rng(0))
    seen = []
    for board in boards:
        numbers = pads.board_channels(board).numbers.reshape(4, 68)
        for aget, channel in event.hits[board].tolist():
            trace = event.samples[board][aget, channel] - 300
            seen.append((*attpc_positions()[numbers[aget, channel]], np.argmax(trace), trace.max()))
    x, y, bucket, amplitude = np.array(seen).T
    assert len(seen) > 20
    distances = np.hypot(x[:, None] - path[:, 0], y[:, None] - path[:, 1]).min(axis=1)
    assert distances.max() < 7  # a pad has sides of 10 mm, and there is no diffusion
    expected = 10 + 0.6 * 550 + 1.17 * 6.25  # drift time, and the time in which the response rises
    assert np.abs(bucket[(amplitude > 50) & (amplitude < 3000)] - expected).max() < 2


def test_zero_suppression_sends_hit_and_fpn_channels_of_boards_with_a_hit() -> None:
    event = SimulatedChamber(plane(), BOARDS, DETECTOR).event(0)
    for board in BOARDS:
        sent = {tuple(one) for one in np.argwhere((event.samples[board] >= 0).all(axis=2)).tolist()}
        assert sent == {tuple(one) for one in np.argwhere((event.samples[board] >= 0).any(axis=2)).tolist()}
        hits = {tuple(one) for one in event.hits[board].tolist()}
        fpn = {(aget, channel) for aget in range(4) for channel in FPN_CHANNELS} if hits else set()
        assert sent == hits | fpn
    assert any(len(hits) for hits in event.hits.values())


def test_full_readout_sends_all_with_baseline_and_noise() -> None:
    event = SimulatedChamber(plane(), BOARDS, DETECTOR, is_full=True).event(0)
    samples = event.samples[0, 0]
    assert samples.min() >= 0
    assert samples.max() <= 4095
    fpn = samples[:, FPN_CHANNELS]
    assert ((fpn.mean(axis=2) > 240) & (fpn.mean(axis=2) < 460)).all()
    assert fpn.std(axis=2) == pytest.approx(3.5, abs=0.6)


def test_response_is_that_of_the_electronics() -> None:
    response = ElectronicsModel().response(160.0)
    s = np.arange(64) * 0.16
    shape = np.exp(-3 * s) * s**3 * np.sin(s)
    np.testing.assert_allclose(response, shape.clip(0) / 0.04409, rtol=1e-3, atol=1e-6)
    assert (response[0], np.argmax(response)) == (0.0, 7)


def test_nearest_pad_is_found_and_none_outside() -> None:
    finder = PadFinder(plane(((0, 0),)), ((0, 0),))
    assert finder.channels_at(np.array([[1000.0, 0.0]])).tolist() == [-1]
    assert finder.channels_at(np.empty((0, 2))).tolist() == []
    grid = PadFinder(PadPlane(), ((3, 1), (3, 2)))  # no map, no positions
    assert grid.radius_mm == pytest.approx(280.0)
    found = grid.channels_at(np.array([[0.5, 0.5]]))
    assert 0 <= found[0] < 2 * 272


def test_boards_without_pads_are_refused() -> None:
    with pytest.raises(ConfigError, match="no board reads a pad"):
        PadFinder(plane(), ((7, 7),))


@pytest.mark.parametrize("is_full", [False, True])
def test_frames_of_events_are_decoded_to_their_samples(is_full: bool) -> None:
    pads = plane()
    chamber = SimulatedChamber(pads, BOARDS, DETECTOR, is_full=is_full)
    readout = Readout(chamber, n_made=2, rate_hz=100.0, is_full=is_full, first_id=5, restart_at=3)
    assert list(readout.make()) == [1, 2]
    ids, times = [], []
    for index in range(4):
        event = readout.event(index)
        frames = [parse_frame(frame.data) for frame in event.frames]
        assert all(isinstance(frame, Frame) for frame in frames)
        frames = [frame for frame in frames if isinstance(frame, Frame)]
        ids.append({frame.event_id for frame in frames})
        times.append([frame.event_time for frame in frames])
        made = chamber.event(index % 2)
        matrix = EventDecoder(pads).decode(frames)
        for row in matrix:
            sent = made.samples[int(row[0]), int(row[1])][row[2], row[3]]
            np.testing.assert_array_equal(row[5:], sent)
        assert event.tracks == made.tracks
        hits = {(board, *one) for board in BOARDS for one in made.hits[board].tolist()}
        found = {((int(row[0]), int(row[1])), int(row[2]), int(row[3])) for row in matrix}
        assert hits <= found
    assert ids == [{5}, {6}, {7}, {5}]
    assert times[1][0] - times[0][0] == 1_000_000  # 10 ms in ticks
    assert times[3] == times[0]
    assert times[0][2] - times[0][0] == OTHER_CLOCK_TICKS
