"""Events of a chamber that one core analyses in a second, and how the analysis of files grows with cores.

The *reference* is attpc_spyral 0.18.0 on the same events, as a process in an environment of its own, if that is there
(tests/oracle/README.md). Rates are for processor time. The events are simulated: 1 to 3 protons and deuterons of 3 to
6 MeV, on the plane of the AT-TPC.

The growth is measured with a merged file: events a second with all cores, beside as many times that of one process.
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.offline.analysis import FileAnalysis
from std_daq.tpc.offline.execution import InProcesses
from std_daq.tpc.offline.sources import open_source
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_test_kit.chamber_events import BEAM_RADIUS_MM, attpc_with_invented_map, simulated_events
from std_test_kit.field_analysis import PYTHON, run_field_analysis

N_EVENTS = 24
N_WARM_UP = 4
EVENTS_OF_FILE_PER_CORE = 240
FASTER, GROWTH = Target.at_least(3.0), Target.at_least(0.9)
Events = Mapping[int, NDArray[np.int16]]


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate of one core, and the growth with cores."""
    plane = attpc_with_invented_map(setting.folder)
    setting.progress("simulating events")
    events = {number: matrix for number, (matrix, _) in enumerate(simulated_events(plane, N_EVENTS))}
    pipeline = Pipeline(plane, AnalysisParameters())
    setting.progress("one core")
    rates = [partial(_rate, pipeline, events)]
    is_there = PYTHON.is_file()
    if is_there:
        rates.append(partial(_rate_of_field, setting.folder, events))
    ours, *theirs = take_turns(rates, setting.repeats)
    details = {"traces": float(np.mean([len(matrix) for matrix in events.values()]))}
    yield Figure(
        "events analysed, one core", "1/s", ours, reference="attpc_spyral 0.18.0" if is_there else "",
        references=theirs[0] if is_there else (), target=FASTER if is_there else None, details=details,
    )  # fmt: skip
    n_cores = len(setting.cores)
    setting.progress(f"{n_cores} cores")
    file, config = _merged_file(setting.folder, events, EVENTS_OF_FILE_PER_CORE * n_cores)
    many, one = take_turns(
        [partial(_rate_of_files, config, file, n_workers) for n_workers in (n_cores, 1)], setting.repeats
    )
    yield Figure(
        "events of files, all cores", "1/s", many, reference=f"one process, times {n_cores}",
        references=[n_cores * rate for rate in one], target=GROWTH,
    )  # fmt: skip


def _rate(pipeline: Pipeline, events: Events) -> float:
    for event_id in list(events)[:N_WARM_UP]:
        pipeline.run(event_id, 0, events[event_id])
    begun = time.process_time()
    for event_id, matrix in events.items():
        pipeline.run(event_id, 0, matrix)
    return len(events) / (time.process_time() - begun)


def _rate_of_field(folder: Path, events: Events) -> float:
    """Return the rate of attpc_spyral, without the first events, in which it compiles."""
    found = run_field_analysis(folder, events, AnalysisParameters())
    seconds = found["seconds"][N_WARM_UP:]
    return len(seconds) / float(seconds.sum())


def _rate_of_files(config: TpcConfig, file: Path, n_workers: int) -> float:
    """Return events a second, from the end of the first unit, when all processes have started."""
    output = file.with_name(f"result-{n_workers}.h5")
    done: list[tuple[float, int]] = []
    FileAnalysis(open_source([file], config), [file], config, output).run(
        InProcesses(n_workers), lambda n_events: done.append((time.perf_counter(), n_events))
    )
    output.unlink()
    rest = done[2 * n_workers :]
    return sum(n_events for _, n_events in rest[1:]) / (rest[-1][0] - rest[0][0])


def _merged_file(folder: Path, events: Events, n_events: int) -> tuple[Path, TpcConfig]:
    path = folder / "run_0001.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("events")
        group.attrs["version"] = "libattpc_merger:1.0"
        for n in range(n_events):
            traces = group.create_dataset(f"event_{n}/get_traces", data=events[n % len(events)])
            traces.attrs.update(id=np.uint32(n), timestamp=np.uint64(n), timestamp_other=np.uint64(n))
    pads = {"electronics": str(folder / "map.csv"), "geometry": "attpc", "scale": "attpc"}
    document = {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:1"],
        "pads": {**pads, "beam_radius_mm": BEAM_RADIUS_MM},
    }
    return path, TpcConfig.model_validate(document)
