"""Events of a chamber that one core analyses in a second, and how the analysis of files grows with cores.

The *reference* is attpc_spyral 0.18.0 on the same events, as a process in an environment of its own; if that is not
there, the details say so (tests/oracle/README.md). It runs once, with the events of all turns, between two halves of
ours. Rates are for processor time. The events are simulated on the plane of the AT-TPC: 1 or 3 protons and deuterons of
3 to 6 MeV.

The growth is measured with a merged file: events a second with all cores, beside as many times that of one process with
the same file. While it runs: from when each process has finished its first events to the end of the last ones. Whole:
from the call to the written result; the details tell when the first events were there. Where other programs take a core
away, all processes wait for the last one; the details give the ratio without the time that processes waited for a core.

A single process collects what all others have done, and writes the result. How many events it takes in a second of
processor time, compared with what one core analyses, says with how many cores it would be the limit.
"""

import itertools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from std_benchmarks.figure import Detail, Figure, Target
from std_benchmarks.setting import Setting
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.offline.analysis import FileAnalysis
from std_daq.tpc.offline.execution import InProcesses
from std_daq.tpc.offline.result_file import write_result
from std_daq.tpc.offline.result_part import PartFolder
from std_daq.tpc.offline.sources import open_source
from std_daq.tpc.offline.unit import EVENTS_OF_UNIT, MergedUnit, analyse_unit
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_test_kit.chamber_events import BEAM_RADIUS_MM, attpc_with_invented_map, simulated_events
from std_test_kit.field_analysis import PYTHON, run_field_analysis

N_TRACKS = (1, 3)
EVENTS_OF_TURN, N_WARM_UP = 2, 2
FILE_TURNS, UNITS_PER_CORE, N_WRITTEN_UNITS = 2, 6, 40
FASTER, GROWTH, CORES = Target.at_least(3.0), Target.at_least(0.9), Target.at_least(32)
_FIELD = "attpc_spyral 0.18.0"
Events = Mapping[int, NDArray[np.int16]]


@dataclass(frozen=True, slots=True)
class _FileRun:
    """How an analysis of a file went, in seconds, and in events a second while it ran and as a whole."""

    first_s: float
    processor_s: float
    rate_running: float
    rate_without_waiting: float
    rate_whole: float


@dataclass(frozen=True, slots=True)
class _Moment:
    """When some events were done, and how long each worker has waited for a core until then, on average."""

    at_s: float
    n_events: int
    waited_s: float


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate of one core for each size of events, and the growth with cores."""
    plane = attpc_with_invented_map(setting.folder)
    setting.progress("simulating events")
    # The first turn only warms up: theirs compiles in it.
    turns = {n_tracks: _turns(plane, n_tracks, setting.repeats) for n_tracks in N_TRACKS}
    of_one_core = list(_one_core(setting, plane, turns))
    yield from of_one_core
    matrices = [matrix for turn in turns[1] for matrix in turn.values()]
    n_events = UNITS_PER_CORE * EVENTS_OF_UNIT * len(setting.cores)
    file, config = _merged_file(setting.folder, matrices, n_events)
    yield from _all_cores(setting, file, config)
    yield _writing(setting, file, config, of_one_core[0].ours)


def _turns(plane: PadPlane, n_tracks: int, repeats: int) -> list[Events]:
    """Return the events of each turn, each with an id of its own; those of the first one are for warming up."""
    n_events = N_WARM_UP + repeats * EVENTS_OF_TURN
    matrices = [matrix for matrix, _ in simulated_events(plane, n_events, n_tracks=(n_tracks, n_tracks))]
    events = {1000 * n_tracks + number: matrix for number, matrix in enumerate(matrices)}
    ids = list(events)
    bounds = [0, *range(N_WARM_UP, n_events + 1, EVENTS_OF_TURN)]
    return [{one: events[one] for one in ids[a:b]} for a, b in itertools.pairwise(bounds)]


def _one_core(setting: Setting, plane: PadPlane, turns: Mapping[int, Sequence[Events]]) -> Iterator[Figure]:
    setting.progress("one core")
    pipeline = Pipeline(plane, AnalysisParameters())
    ours: dict[int, list[float]] = {n_tracks: [] for n_tracks in turns}

    def take(first: int, end: int) -> None:
        for turn in range(first, end):
            for n_tracks, events in turns.items():
                ours[n_tracks].append(_rate(pipeline, events[turn]))

    middle = 1 + setting.repeats // 2
    take(0, middle)
    theirs = _rates_of_field(setting, turns) if PYTHON.is_file() else {}
    take(middle, setting.repeats + 1)
    for n_tracks, events in turns.items():
        counted = [matrix for turn in events[1:] for matrix in turn.values()]
        points = [len(pipeline.run(0, 0, matrix).cloud) for matrix in counted]
        details: dict[str, Detail] = {
            "traces": float(np.mean([len(matrix) for matrix in counted])),
            "points": float(np.mean(points)),
        }
        if not theirs:
            details["not compared"] = f"{_FIELD} is not at {PYTHON}: tests/oracle/README.md"
        yield Figure(
            f"events analysed, one core, tracks: {n_tracks}", "1/s", ours[n_tracks][1:],
            reference=_FIELD if theirs else "", references=theirs.get(n_tracks, ()),
            target=FASTER if theirs else None, details=details,
        )  # fmt: skip


def _rate(pipeline: Pipeline, events: Events) -> float:
    begun = time.process_time()
    for event_id, matrix in events.items():
        pipeline.run(event_id, 0, matrix)
    return len(events) / (time.process_time() - begun)


def _rates_of_field(setting: Setting, turns: Mapping[int, Sequence[Events]]) -> dict[int, list[float]]:
    """Return the rates of attpc_spyral for each turn that counts."""
    setting.progress(_FIELD)
    in_turns = [turn for of_all in zip(*turns.values(), strict=True) for turn in of_all]
    events = {event_id: matrix for turn in in_turns for event_id, matrix in turn.items()}
    seconds = run_field_analysis(setting.folder, events, AnalysisParameters())["seconds"].sum(axis=1)
    seconds_of = dict(zip(events, seconds.tolist(), strict=True))
    return {
        n_tracks: [len(turn) / sum(seconds_of[event_id] for event_id in turn) for turn in of_size[1:]]
        for n_tracks, of_size in turns.items()
    }


def _all_cores(setting: Setting, file: Path, config: TpcConfig) -> Iterator[Figure]:
    n_cores = len(setting.cores)
    runs: dict[int, list[_FileRun]] = {n_cores: [], 1: []}
    for turn in range(FILE_TURNS):
        for n_workers in sorted(runs, reverse=bool(turn % 2)):
            setting.progress(f"a file, processes: {n_workers}")
            runs[n_workers].append(_run_of_file(config, file, n_workers))
    many, one = runs[n_cores], runs[1]
    details: dict[str, Detail] = {
        "until the first events, s": statistics.median(run.first_s for run in many),
        "with one process, s": statistics.median(run.first_s for run in one),
        "processor time to that of one": statistics.median(
            run.processor_s / other.processor_s for run, other in zip(many, one, strict=True)
        ),
        "ratio without waiting for cores": statistics.median(
            run.rate_without_waiting / (n_cores * other.rate_without_waiting)
            for run, other in zip(many, one, strict=True)
        ),
    }
    reference = f"one process, times {n_cores}"
    yield Figure(
        "events of files, all cores, while it runs", "1/s", [run.rate_running for run in many], reference=reference,
        references=[n_cores * run.rate_running for run in one], target=GROWTH, details=details,
    )  # fmt: skip
    yield Figure(
        "events of files, all cores, whole", "1/s", [run.rate_whole for run in many], reference=reference,
        references=[n_cores * run.rate_whole for run in one],
    )  # fmt: skip


def _writing(setting: Setting, file: Path, config: TpcConfig, of_one_core: Sequence[float]) -> Figure:
    setting.progress("the result")
    part = analyse_unit(MergedUnit(0, file, tuple(range(EVENTS_OF_UNIT)), 0), config)
    parts = PartFolder(setting.folder)
    for index in range(N_WRITTEN_UNITS):
        parts.save(index, replace(part, numbers=part.numbers + EVENTS_OF_UNIT * index))
    rates = []
    for _ in range(setting.repeats):
        begun = time.process_time()
        write_result(setting.folder / "written.h5", (parts.load(index) for index in range(N_WRITTEN_UNITS)), {})
        rates.append(N_WRITTEN_UNITS * EVENTS_OF_UNIT / (time.process_time() - begun))
    return Figure(
        "results collected and written, one process", "1/s", rates, reference="events that one core analyses",
        references=of_one_core, target=CORES,
    )  # fmt: skip


def _run_of_file(config: TpcConfig, file: Path, n_workers: int) -> _FileRun:
    output = file.with_name(f"result-{n_workers}.h5")
    done: list[_Moment] = []
    processor_s, begun = _processor_s(), time.perf_counter()

    def take(n_events: int) -> None:
        done.append(_Moment(time.perf_counter() - begun, n_events, _waited_s() / n_workers))

    report = FileAnalysis(open_source([file], config), [file], config, output).run(InProcesses(n_workers), take)
    whole_s = time.perf_counter() - begun
    output.unlink()
    first, last = done[n_workers - 1], done[-1]
    rest = sum(moment.n_events for moment in done[n_workers:])
    running_s = last.at_s - first.at_s
    return _FileRun(
        first_s=done[0].at_s,
        processor_s=_processor_s() - processor_s,
        rate_running=rest / running_s,
        rate_without_waiting=rest / (running_s - (last.waited_s - first.waited_s)),
        rate_whole=report.n_events / whole_s,
    )


def _waited_s() -> float:
    """Return how long the workers of this process have been ready to run, but others had the cores."""
    schedules = (Path(f"/proc/{child.pid}/schedstat") for child in multiprocessing.active_children())
    return sum(int(schedule.read_text().split()[1]) for schedule in schedules if schedule.exists()) / 1e9


def _processor_s() -> float:
    """Return the processor time of this process and of those that it has ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _merged_file(folder: Path, matrices: Sequence[NDArray[np.int16]], n_events: int) -> tuple[Path, TpcConfig]:
    path = folder / "run_0001.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("events")
        group.attrs["version"] = "libattpc_merger:1.0"
        for n in range(n_events):
            traces = group.create_dataset(f"event_{n}/get_traces", data=matrices[n % len(matrices)])
            traces.attrs.update(id=np.uint32(n), timestamp=np.uint64(n), timestamp_other=np.uint64(n))
    pads = {"electronics": str(folder / "map.csv"), "geometry": "attpc", "scale": "attpc"}
    document = {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:1"],
        "pads": {**pads, "beam_radius_mm": BEAM_RADIUS_MM},
    }
    return path, TpcConfig.model_validate(document)
