"""Photons a second that one core and all cores propagate, in tanks with 168 and with 11,146 light sensors.

*Ours* is `std_daq.photons.cpu.CpuBackend.simulate` with one thread: photons in, hits out, all processes and surfaces in
the code that runs. Light of 420 nm shines from the middle to all sides. The *reference* is the plain loop of
`std_benchmarks.plain_photons`, vectorised by numpy, which tries each photon against each ball. All times are CPU times
of the one thread, but for the growth with the threads: there the clock counts, and the reference is one thread times
the number of cores.

PMTs of bulb, film and mirror are bodies of 9,500 triangles each; they have no aim of their own.

Where ``geant4_pybind`` is installed, Geant4 propagates the same photons in the small tank, with optical processes only.
Where there is an NVIDIA GPU, it propagates more of the same photons, by the clock and with all copies, beside one core;
and a million in 1000 jobs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_benchmarks.figure import Figure, Target
from std_benchmarks.plain_photons import PlainTank
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.photons.backend import Backend, Job
from std_daq.photons.cpu import CpuBackend
from std_daq.photons.cuda.device import obstacle_to
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import large_tank, pmt_tank, small_tank

UNIT = "photons/s"
N_PHOTONS = 500_000
N_PHOTONS_OF_GPU = 10_000_000
AIM_OF_GPU = 1e7
WAVELENGTH_NM = 420
# A turn of the plain loop takes about a second.
CASES: tuple[tuple[str, Callable[[], dict[str, Any]], int, float], ...] = (
    ("168 sensors", small_tank, 10_000, 2e6),
    ("11,146 sensors", large_tank, 300, 0.8e6),
)


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the figures of both tanks, by themselves and beside the plain loop."""
    photons = isotropic(N_PHOTONS, wavelength=WAVELENGTH_NM)
    for name, make, n_plain, aim in CASES:
        setting.progress(f"photons, {name}")
        document = make()
        backend = PhotonDetector.of(document).backend(n_threads=1)
        plain = PlainTank(document)
        ours, plainly = take_turns(
            [partial(_rate, backend, photons), partial(_plain_rate, plain, photons[:n_plain])], setting.repeats
        )
        yield Figure(f"photons, {name}", UNIT, ours, target=Target.at_least(aim))
        yield Figure(f"photons, {name}, plain loop", UNIT, ours, "a loop in numpy", plainly, Target.at_least(50))
    yield _growth(setting, photons)
    yield from _gpu(setting)
    setting.progress("photons, 168 PMTs")
    backend = PhotonDetector.of(pmt_tank()).backend(n_threads=1)
    yield Figure(
        "photons, 168 PMTs of bulb, film and mirror", UNIT, [_rate(backend, photons) for _ in range(setting.repeats)]
    )
    if find_spec("geant4_pybind") is not None:
        from std_benchmarks.geant4_photons import rate_of_geant4

        setting.progress("photons, Geant4")
        backend = PhotonDetector.of(small_tank()).backend(n_threads=1)
        ours, theirs = take_turns([partial(_rate, backend, photons), rate_of_geant4], setting.repeats)
        yield Figure("photons, 168 sensors, Geant4", UNIT, ours, "Geant4", theirs, Target.at_least(40))


def _growth(setting: Setting, photons: NDArray[np.void]) -> Figure:
    n_cores = len(setting.cores)
    setting.progress(f"photons, {n_cores} threads")
    detector = PhotonDetector.of(small_tank())
    of_all, of_one = take_turns(
        [partial(_rate_by_clock, detector.backend(n_threads=n), photons) for n in (n_cores, 1)], setting.repeats
    )
    return Figure(
        f"photons, 168 sensors, {n_cores} threads", UNIT, of_all, f"one thread x {n_cores}",
        [rate * n_cores for rate in of_one], Target.at_least(0.9),
    )  # fmt: skip


def _gpu(setting: Setting) -> Iterator[Figure]:
    if (obstacle := obstacle_to(0)) is not None:
        setting.progress(f"photons, no GPU: {obstacle.problem}")
        return
    photons = isotropic(N_PHOTONS_OF_GPU, wavelength=WAVELENGTH_NM)
    for name, make, *_ in CASES:
        detector = PhotonDetector.of(make())
        gpu, core = detector.cuda_backend(), detector.backend(n_threads=1)
        setting.progress(f"photons, {name}, {gpu.gpu}")
        ours, on_core = take_turns(
            [partial(_rate_by_clock, gpu, photons), partial(_rate_by_clock, core, photons[:N_PHOTONS])],
            setting.repeats,
        )
        details = {"gpu": gpu.gpu}
        yield Figure(f"photons, {name}, GPU", UNIT, ours, target=Target.at_least(AIM_OF_GPU), details=details)
        yield Figure(f"photons, {name}, GPU beside a core", UNIT, ours, "one core", on_core, details=details)
    jobs = [Job(key, photons[:1000]) for key in range(1000)]
    ours, at_once = take_turns(
        [partial(_rate_of_jobs, gpu, jobs), partial(_rate_by_clock, gpu, photons[:1_000_000])], setting.repeats
    )
    yield Figure("photons, 1000 jobs in a launch, GPU", UNIT, ours, "one job", at_once, Target.at_least(0.7))


def _rate_of_jobs(backend: Backend, jobs: Sequence[Job]) -> float:
    began = time.perf_counter()
    backend.simulate(jobs)
    return sum(len(job.photons) for job in jobs) / (time.perf_counter() - began)


def _rate_by_clock(backend: Backend, photons: NDArray[np.void]) -> float:
    return _rate_of_jobs(backend, [Job(0, photons)])


def _rate(backend: CpuBackend, photons: NDArray[np.void]) -> float:
    began = time.thread_time()
    backend.simulate([Job(0, photons)])
    return len(photons) / (time.thread_time() - began)


def _plain_rate(plain: PlainTank, photons: NDArray[np.void]) -> float:
    began = time.thread_time()
    plain.run(photons)
    return len(photons) / (time.thread_time() - began)
