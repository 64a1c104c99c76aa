"""The engine on a GPU gives the same bytes as that on processor cores.

`test_simulator` runs these tests in numba's simulator as well, with fewer photons.
"""

import threading

import numpy as np
import pytest

from std_daq.errors import ArgumentError
from std_daq.photons.backend import Job
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag
from std_daq.photons.sources import isotropic
from std_daq.photons.tanks import small_tank
from std_daq.photons.traces import trace
from std_test_kit.gpu import IS_SIMULATED, needs_gpu
from std_test_kit.photon_scenes import SCENES, light
from std_test_kit.photons import has

pytestmark = needs_gpu

N = 60 if IS_SIMULATED else 200_000
SEED = 2**63 - 1
NO_BIT_HAPPENS = Flag.SCINTILLATION  # only senders set it


@pytest.fixture(scope="module")
def tank():
    return PhotonDetector.of(small_tank())


def ended(backend, jobs):
    return np.concatenate([batch.photons() for batch in backend.propagate(jobs)])


@pytest.mark.parametrize("scene", SCENES)
def test_photons_end_as_on_processor_cores(scene):
    made = SCENES[scene]()
    jobs = [Job(2**64 - 1, light(N)), Job(3, light(20))]
    found = ended(made.cuda_backend(seed=SEED), jobs)
    expected = ended(made.backend(seed=SEED), jobs)
    assert found.tobytes() == expected.tobytes()


def test_everything_happens_in_the_scenes():
    flags = 0
    for make in SCENES.values():
        flags |= int(np.bitwise_or.reduce(ended(make().backend(), [Job(0, light(2000))])["flags"]))
    assert [flag for flag in Flag if not flags & flag] == [NO_BIT_HAPPENS]


def test_hits_do_not_depend_on_batches_or_company(tank, monkeypatch):
    from std_daq.photons.cuda import backend as module

    jobs = [Job(key, isotropic(n, wavelength=420, seed=key)) for key, n in enumerate([N, 0, 1, 2 * N, N // 2])]
    expected = tank.backend(seed=4).simulate(jobs)
    assert [hits.tobytes() for hits in tank.cuda_backend(seed=4).simulate(jobs)] == [h.tobytes() for h in expected]
    monkeypatch.setattr(module, "_MIN_ROOM", 1)
    monkeypatch.setattr(module, "BATCH", N // 2 + 7)
    backend = tank.cuda_backend(seed=4)
    assert [hits.tobytes() for hits in backend.simulate(jobs)] == [h.tobytes() for h in expected]
    assert sum(map(len, expected)) > 0
    assert backend.simulate([]) == []


def test_a_batch_that_nobody_asks_for_does_no_harm(tank, monkeypatch):
    from std_daq.photons.cuda import backend as module

    monkeypatch.setattr(module, "_MIN_ROOM", 1)
    monkeypatch.setattr(module, "BATCH", N // 5)
    backend = tank.cuda_backend()
    jobs = [Job(1, isotropic(N, wavelength=420))]
    batches = backend.propagate(jobs)
    first = next(batches).photons()
    batches.close()
    assert ended(backend, jobs)[: len(first)].tobytes() == first.tobytes()


def test_two_threads_may_use_one_backend(tank):
    backend = tank.cuda_backend()
    jobs = [Job(key, isotropic(N // 5, wavelength=420, seed=key)) for key in range(4)]
    found = {}

    def run(job):
        found[job.key] = ended(backend, [job]).tobytes()

    if IS_SIMULATED:  # which runs one kernel at a time
        for job in jobs:
            run(job)
    else:
        threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {job.key: ended(tank.backend(), [job]).tobytes() for job in jobs}


def test_a_photon_can_be_traced(tank):
    job = Job(5, isotropic(100, wavelength=380))
    steps = trace(tank.cuda_backend(seed=1), job, [3, 50, 99])
    assert steps.tobytes() == trace(tank.backend(seed=1), job, [3, 50, 99]).tobytes()
    assert len(steps) > 3


def test_a_gpu_that_is_not_there_is_told(tank):
    with pytest.raises(ArgumentError, match=r"argument --device: the last GPU that CUDA shows is \d+ \(got '99'\)"):
        tank.cuda_backend(device=99)


@pytest.mark.skipif(IS_SIMULATED, reason="a simulator is too slow for that many photons")
def test_a_gpu_propagates_many_photons(tank):
    photons = isotropic(5_000_000, wavelength=420)
    (hits,) = tank.cuda_backend().simulate([Job(0, photons)])
    (expected,) = tank.backend().simulate([Job(0, photons)])
    assert hits.tobytes() == expected.tobytes()
    assert not has(hits, Flag.NO_HIT).any()
