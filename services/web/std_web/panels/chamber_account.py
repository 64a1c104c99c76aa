"""ChamberAccount: what builder and analysis of a chamber tell of themselves, and how the samples of its boards look."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from std_daq.client.scrape import Scrape, scrape
from std_daq.errors import SharedMemoryError
from std_daq.service.record import read_records
from std_daq.tpc.boards import expected_boards
from std_daq.tpc.building.board_frame import FrameOutcome
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.electronics import Board
from std_daq.tpc.events.event_reader import EventReader
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.view.board_samples import BoardReadout, BoardSamples

BUILDER, ANALYSIS = "event-builder", "event-analysis"


@dataclass(frozen=True, slots=True)
class ExporterAccount:
    """What came from an exporter.

    Parameters
    ----------
    address
        Its address.
    is_connected
        Whether there is a connection.
    n_bytes, bytes_per_s
        Bytes that came, and of them in a second.
    frames
        Frames, by what became of them.
    n_faults
        Damaged frames, by what was wrong.
    """

    address: str
    is_connected: bool
    n_bytes: int
    bytes_per_s: float | None
    frames: Mapping[str, int]
    n_faults: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BoardAccount:
    """A board.

    Parameters
    ----------
    board
        CoBo and AsAd.
    n_frames
        Its frames that were used.
    n_missing
        Events that were given out without it.
    rate_hz
        Its frames in a second.
    readout
        What its samples tell.
    """

    board: Board
    n_frames: int
    n_missing: int
    rate_hz: float | None
    readout: BoardReadout


@dataclass(frozen=True, slots=True)
class ChamberFigures:
    """What builder and analysis tell at one time.

    Parameters
    ----------
    has_builder, has_analysis
        Whether they answer.
    exporters, boards
        What came from each.
    events
        Events given out: complete, incomplete.
    n_crowded
        Of them, those that were given out before their time.
    n_waiting, held_bytes, n_in_doubt
        Events that wait, size of their frames, frames in doubt.
    epoch
        Number of runs before this one.
    events_per_s
        Events given out in a second.
    analysis
        Figures of the analysis, by the name of the metric without ``daq_analysis_``.
    left_out
        Events that were not analysed, by the reason.
    n_looked_at
        Events whose samples were looked at.
    """

    has_builder: bool = False
    has_analysis: bool = False
    exporters: Sequence[ExporterAccount] = ()
    boards: Sequence[BoardAccount] = ()
    events: Mapping[str, int] = field(default_factory=dict)
    n_crowded: int = 0
    n_waiting: int = 0
    held_bytes: int = 0
    n_in_doubt: int = 0
    epoch: int = 0
    events_per_s: float | None = None
    analysis: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    n_looked_at: int = 0


class ChamberAccount:
    """Asks the services of a chamber, and looks at the samples of its newest event.

    Parameters
    ----------
    config
        The chamber.
    clock
        Returns monotonic time in seconds.

    Raises
    ------
    ConfigError
        The files of the pads cannot be read.
    """

    def __init__(self, config: TpcConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        plane = load_pads(config.pads)
        self._expected = expected_boards(config.boards, plane) or frozenset()
        self._samples = BoardSamples(plane)
        self._events = EventReader(config)
        self._epoch: int | None = None
        self._looked_at: tuple[int, int] | None = None
        self._before: tuple[float, dict[str, float]] | None = None

    def close(self) -> None:
        """Release the ring of events."""
        self._events.close()

    def read(self) -> ChamberFigures:
        """Ask the services, and look at the newest event."""
        answers = {record.instance: scrape(record.socket) for record in read_records(self._config)}
        builder = answers.get(BUILDER, Scrape(is_answering=False))
        analysis = answers.get(ANALYSIS, Scrape(is_answering=False))
        self._look()
        rate = self._rates(builder)
        return ChamberFigures(
            has_builder=builder.is_answering,
            has_analysis=analysis.is_answering,
            exporters=[_exporter(builder, address, rate) for address in _values(builder, "daq_builder_connected")],
            boards=self._boards(builder, rate),
            events=_counts(builder.by_label("daq_builder_events_total", "status")),
            n_crowded=int(builder.total("daq_builder_events_crowded_total")),
            n_waiting=int(builder.total("daq_builder_events_waiting")),
            held_bytes=int(builder.total("daq_builder_held_bytes")),
            n_in_doubt=int(builder.total("daq_builder_frames_in_doubt")),
            epoch=int(builder.total("daq_builder_epoch")),
            events_per_s=rate("events"),
            analysis={name: analysis.total(f"daq_analysis_{name}") for name in _OF_ANALYSIS},
            left_out=_counts(analysis.by_label("daq_analysis_left_out_total", "reason")),
            n_looked_at=self._samples.n_looked_at,
        )

    def _look(self) -> None:
        """Look at the samples of the newest event, if it is another one than the last time."""
        try:
            event = self._events.newest(0)
        except SharedMemoryError:
            return  # the builder is being started
        if event is None or (event.epoch, event.id) == self._looked_at:
            return
        self._looked_at = event.epoch, event.id
        if event.epoch != self._epoch:
            self._epoch = event.epoch
            self._samples.reset()
        self._samples.look(event.traces)

    def _rates(self, builder: Scrape) -> Callable[[str], float | None]:
        """Return what tells how fast a count of the builder has grown since the last look."""
        now_s = self._clock()
        counts = {
            "events": builder.total("daq_builder_events_total"),
            **{f"bytes {key}": n for key, n in builder.by_label("daq_builder_bytes_total", "exporter").items()},
            **{f"board {key}": n for key, n in builder.by_label("daq_builder_board_frames_total", "board").items()},
        }
        before, self._before = self._before, (now_s, counts) if builder.is_answering else None

        def rate(name: str) -> float | None:
            if before is None or now_s <= before[0] or name not in counts:
                return None
            growth = counts[name] - before[1].get(name, 0.0)
            return growth / (now_s - before[0]) if growth >= 0 else None  # less: the builder was started again

        return rate

    def _boards(self, builder: Scrape, rate: Callable[[str], float | None]) -> list[BoardAccount]:
        used = builder.by_label("daq_builder_board_frames_total", "board")
        missing = builder.by_label("daq_builder_board_missing_total", "board")
        names = {board: f"{board[0]}-{board[1]}" for board in sorted(self._known_boards(used, missing))}
        return [
            BoardAccount(
                board=board,
                n_frames=int(used.get(name, 0)),
                n_missing=int(missing.get(name, 0)),
                rate_hz=rate(f"board {name}"),
                readout=self._samples.of(board),
            )
            for board, name in names.items()
        ]

    def _known_boards(self, *named: Mapping[str, float]) -> set[Board]:
        """Return the boards of the configuration, of the events, and of the builder's counts."""
        return {*self._expected, *self._samples.boards, *(_board(name) for counts in named for name in counts)}


_OF_ANALYSIS = ("events_total", "points_total", "estimates_total", "waiting", "workers", "revision", "age_seconds")


def _exporter(builder: Scrape, address: str, rate: Callable[[str], float | None]) -> ExporterAccount:
    def of_this(name: str, label: str) -> dict[str, int]:
        return {
            sample.labels[label]: int(sample.value)
            for sample in builder.samples
            if sample.name == name and sample.labels.get("exporter") == address
        }

    frames = of_this("daq_builder_frames_total", "outcome")
    return ExporterAccount(
        address=address,
        is_connected=bool(builder.by_label("daq_builder_connected", "exporter").get(address)),
        n_bytes=int(builder.by_label("daq_builder_bytes_total", "exporter").get(address, 0)),
        bytes_per_s=rate(f"bytes {address}"),
        frames={outcome: frames.get(outcome, 0) for outcome in FrameOutcome},
        n_faults=of_this("daq_builder_frame_faults_total", "fault"),
    )


def _values(answer: Scrape, name: str) -> list[str]:
    return list(answer.by_label(name, "exporter"))


def _counts(values: Mapping[str, float]) -> dict[str, int]:
    return {name: int(value) for name, value in values.items()}


def _board(name: str) -> Board:
    cobo, _, asad = name.partition("-")
    return int(cobo), int(asad)
