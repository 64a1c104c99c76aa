"""SimulatedChamber: events of simulated tracks, as the samples that the electronics of a chamber would take."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import FPN_CHANNELS, N_AGETS, N_CHANNELS, N_TIME_BUCKETS, SAMPLE_BITS, Board
from std_daq.tpc.frames.item_kernels import NO_SAMPLE
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import DetectorParameters
from std_daq.tpc.simulation.pad_finder import PadFinder
from std_daq.tpc.simulation.tracks import DEUTERON, PROTON, Gas, Track, follow

_ELEMENTARY_CHARGE_PC = 1.602176634e-7
_MAX_SAMPLE = 2**SAMPLE_BITS - 1
_SHAPE_BUCKETS = 64


@dataclass(frozen=True, slots=True)
class ElectronicsModel:
    """How charges become samples.

    Parameters
    ----------
    amplification
        Electrons at a pad for each electron that drifts there.
    diffusion_v
        D in transverse sigma = sqrt(2 D z / E), in V.
    shaping_ns
        Shaping time of the response exp(-3 s) s^3 sin(s), s = t / shaping time.
    range_pc
        Charge that gives the largest sample.
    noise
        Standard deviation of the noise, in channels.
    baselines
        Smallest and largest baseline.
    threshold
        A partial readout sends the channels whose signal exceeds it.
    """

    amplification: float = 175_000
    diffusion_v: float = 0.277
    shaping_ns: float = 1000.0
    range_pc: float = 10.0
    noise: float = 3.5
    baselines: tuple[float, float] = (250.0, 450.0)
    threshold: float = 30.0

    def response(self, period_ns: float) -> NDArray[np.float64]:
        """Return the response to a charge in a time bucket, with a maximum of 1."""
        s = np.arange(_SHAPE_BUCKETS) * period_ns / self.shaping_ns
        shape = np.clip(np.exp(-3 * s) * s**3 * np.sin(s), 0, None)
        fine = np.arange(0, 5, 0.001)
        return np.asarray(shape / (np.exp(-3 * fine) * fine**3 * np.sin(fine)).max())


@dataclass(frozen=True, slots=True)
class TrackModel:
    """Which tracks an event has; each range has a smallest and a largest value."""

    n_tracks: tuple[int, int] = (1, 3)
    energy_mev: tuple[float, float] = (3.0, 6.0)
    polar_degrees: tuple[float, float] = (20.0, 160.0)
    vertex_z_part: tuple[float, float] = (0.2, 0.8)
    vertex_sigma_mm: float = 2.0


@dataclass(frozen=True, slots=True)
class ChamberEvent:
    """The tracks of an event, and the samples of each board: int16 (4, 68, 512), -1 where nothing is sent.

    Attributes
    ----------
    hits
        For each board, the channels with a signal, (n, 2): AGET and channel.
    """

    tracks: tuple[Track, ...]
    samples: dict[Board, NDArray[np.int16]]
    hits: dict[Board, NDArray[np.int64]] = field(default_factory=dict)


class SimulatedChamber:
    """Makes events; each is a function of the seed and its number.

    Parameters
    ----------
    plane
        Channels and pads. Pads whose positions are not known are laid on a grid.
    boards
        The boards that send.
    detector
        Fields, length and times of the chamber.
    is_full
        Whether all samples are sent, or those of channels with a signal and of the FPN channels of their boards.
    seed
        Selects tracks, charges, baselines and noise.
    """

    def __init__(
        self,
        plane: PadPlane,
        boards: tuple[Board, ...],
        detector: DetectorParameters,
        *,
        is_full: bool = False,
        seed: int = 0,
        electronics: ElectronicsModel = ElectronicsModel(),
        tracks: TrackModel = TrackModel(),
        gas: Gas = Gas(),  # noqa: B008 - frozen
    ) -> None:
        self._boards = boards
        self._detector = detector
        self._is_full = is_full
        self._seed = seed
        self._electronics = electronics
        self._tracks = tracks
        self._gas = gas
        self._finder = PadFinder(plane, boards)
        self._response = electronics.response(1000 / detector.get_frequency)
        rng = np.random.default_rng((seed, 0))
        shape = (len(boards), N_AGETS, N_CHANNELS)
        self._baselines = rng.uniform(*electronics.baselines, shape)

    def event(self, number: int) -> ChamberEvent:
        """Return an event; the same number gives the same event."""
        rng = np.random.default_rng((self._seed, 1 + number))
        tracks = tuple(
            self._draw_track(rng) for _ in range(rng.integers(self._tracks.n_tracks[0], self._tracks.n_tracks[1] + 1))
        )
        return self.event_of(tracks, rng)

    def event_of(self, tracks: tuple[Track, ...], rng: np.random.Generator) -> ChamberEvent:
        """Return the event of given tracks."""
        electrons = [self._drift(track, rng) for track in tracks]
        channels, signals = self._signals(np.concatenate(electrons) if electrons else np.empty((0, 3)))
        samples: dict[Board, NDArray[np.int16]] = {}
        hits = {}
        for index, board in enumerate(self._boards):
            own = channels[:, 0] == index
            samples[board], hits[board] = self._sample(index, channels[own, 1:], signals[own], rng)
        return ChamberEvent(tracks, samples, hits)

    def _draw_track(self, rng: np.random.Generator) -> Track:
        model = self._tracks
        species = (PROTON, DEUTERON)[rng.integers(2)]
        x, y = rng.normal(0, model.vertex_sigma_mm, 2)
        z = rng.uniform(*model.vertex_z_part) * self._detector.detector_length
        cosines = np.cos(np.radians(model.polar_degrees))
        polar = float(np.arccos(rng.uniform(cosines[1], cosines[0])))
        azimuthal = float(rng.uniform(0, 2 * np.pi))
        energy = float(rng.uniform(*model.energy_mev))
        return Track(species, energy, (float(x), float(y), float(z)), polar, azimuthal)

    def _drift(self, track: Track, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return where and when each electron of a track arrives: x, y in mm, and the time bucket, (n, 3)."""
        detector, gas = self._detector, self._gas
        points, losses = follow(
            track, gas, field_t=detector.magnetic_field, length_mm=detector.detector_length,
            radius_mm=self._finder.radius_mm,
        )  # fmt: skip
        mean = losses * 1e6 / gas.pair_ev
        n_electrons = np.rint(rng.normal(mean, np.sqrt(gas.fano * mean))).clip(0).astype(np.int64)
        electrons = np.repeat(points, n_electrons, axis=0)
        electrons[:, 2] += rng.uniform(-0.5, 0.5, len(electrons)) * np.cos(track.polar)
        drift_m = (detector.detector_length - electrons[:, 2]).clip(0) / 1000
        sigma_mm = 1000 * np.sqrt(2 * self._electronics.diffusion_v * drift_m / detector.electric_field)
        electrons[:, :2] += rng.normal(size=(len(electrons), 2)) * sigma_mm[:, None]
        span = detector.window_time_bucket - detector.micromegas_time_bucket
        electrons[:, 2] = detector.micromegas_time_bucket + drift_m * 1000 / detector.detector_length * span
        return electrons

    def _signals(self, electrons: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the channels that see charge, index of the board, AGET, channel; and their signals."""
        places = self._finder.channels_at(electrons[:, :2])
        is_seen = (places >= 0) & (electrons[:, 2] >= 0) & (electrons[:, 2] < N_TIME_BUCKETS - 1)
        found, which = np.unique(places[is_seen], return_inverse=True)
        charges = np.zeros((len(found), N_TIME_BUCKETS))
        bucket = electrons[is_seen, 2].astype(np.int64)
        later = electrons[is_seen, 2] - bucket
        np.add.at(charges, (which, bucket), 1 - later)
        np.add.at(charges, (which, bucket + 1), later)
        signals = np.zeros_like(charges)
        for delay in range(1, _SHAPE_BUCKETS):
            signals[:, delay:] += self._response[delay] * charges[:, :-delay]
        model = self._electronics
        signals *= model.amplification * _ELEMENTARY_CHARGE_PC / model.range_pc * _MAX_SAMPLE
        board, rest = np.divmod(found, N_AGETS * N_CHANNELS)
        return np.stack([board, *np.divmod(rest, N_CHANNELS)], axis=1), signals

    def _sample(
        self, index: int, channels: NDArray[np.int64], signals: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """Return the samples of a board, and the channels whose signal exceeds the threshold."""
        samples = np.full((N_AGETS, N_CHANNELS, N_TIME_BUCKETS), NO_SAMPLE, np.int16)
        is_hit = signals.max(axis=1, initial=0) > self._electronics.threshold
        hits = channels[is_hit]
        is_sent = np.full((N_AGETS, N_CHANNELS), self._is_full)
        is_sent[hits[:, 0], hits[:, 1]] = True
        if len(hits):
            is_sent[:, FPN_CHANNELS] = True
        all_signals: dict[tuple[int, int], NDArray[Any]] = dict(
            zip(map(tuple, channels.tolist()), signals, strict=True)
        )
        sent = np.argwhere(is_sent)
        values = rng.normal(0, self._electronics.noise, (len(sent), N_TIME_BUCKETS))
        values += self._baselines[index][is_sent][:, None]
        for row, (aget, channel) in enumerate(sent.tolist()):
            signal = all_signals.get((aget, channel))
            if signal is not None:
                values[row] += signal
        samples[is_sent] = np.rint(values).clip(0, _MAX_SAMPLE).astype(np.int16)
        return samples, hits
