"""Both chains that the benchmarks compare do the same work: the same packets give the same images."""

from pathlib import Path

import pytest

from std_benchmarks.image_path.chains import NaiveChain, PlatformChain, check_file
from std_benchmarks.image_path.jungfrau_module import JungfrauModule
from std_benchmarks.image_path.services import RunningServices
from std_daq.amqp.address import VARIABLE

N_IMAGES = 20
RATE_HZ = 25.0


@pytest.mark.long
def test_the_naive_chain_writes_the_images_that_were_sent(runtime: Path, shm_dir: Path, tmp_path: Path) -> None:
    with JungfrauModule(runtime, shm_dir) as module:
        chain = NaiveChain(module)
        outcome = chain.record(tmp_path / "naive.h5", N_IMAGES, RATE_HZ)
        assert outcome.is_lossless
        check_file(chain, module, tmp_path / "naive.h5", outcome)


@pytest.mark.long
def test_the_services_write_the_images_that_were_sent(
    runtime: Path, shm_dir: Path, tmp_path: Path, broker_url: str
) -> None:
    environment = {VARIABLE: broker_url}
    with JungfrauModule(runtime, shm_dir) as module, RunningServices(module.config_file, environment=environment):
        chain = PlatformChain(module, environment)
        outcome = chain.record(tmp_path / "ours.h5", N_IMAGES, RATE_HZ)
        assert outcome.is_lossless
        check_file(chain, module, tmp_path / "ours.h5", outcome)


@pytest.mark.long
def test_an_image_that_is_not_as_it_has_to_be_is_noticed(runtime: Path, shm_dir: Path, tmp_path: Path) -> None:
    import h5py

    with JungfrauModule(runtime, shm_dir) as module:
        chain = NaiveChain(module)
        outcome = chain.record(tmp_path / "naive.h5", 3, RATE_HZ)
        with h5py.File(tmp_path / "naive.h5", "r+") as file:
            file["data"][1, 100, 200] += 1
        with pytest.raises(AssertionError, match="frame 2 "):
            check_file(chain, module, tmp_path / "naive.h5", outcome)
