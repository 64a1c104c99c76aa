"""Which engine a service gets."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from std_daq.errors import ArgumentError, DeviceError, MissingExtraError
from std_daq.photons.cuda import device
from std_daq.photons.cuda.device import Obstacle, check_device, device_errors
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.engine import open_backend
from std_test_kit.photon_tank import write_tank


@pytest.fixture
def tank(tmp_path: Path) -> Path:
    return write_tank(tmp_path)


def found(obstacle: Obstacle | None) -> Callable[[int], Obstacle | None]:
    return lambda number: obstacle


def failing_backend(self: PhotonDetector, *, seed: int, device: int) -> None:
    raise DeviceError(f"GPU {device} cannot be prepared: CUDA_ERROR_UNSUPPORTED_PTX_VERSION")


def test_auto_takes_the_cores_where_a_gpu_fails_and_warns(tank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "obstacle_to", found(None))
    monkeypatch.setattr(PhotonDetector, "cuda_backend", failing_backend)
    with structlog.testing.capture_logs() as logs:
        assert open_backend(tank, seed=0, name="auto", n_threads=1, device=2).name == "cpu"
    (chosen,) = logs
    assert (chosen["event"], chosen["engine"], chosen["log_level"]) == ("engine_chosen", "cpu", "warning")
    assert "GPU 2" in chosen["why"]
    with pytest.raises(DeviceError):
        open_backend(tank, seed=0, name="cuda", n_threads=1)


def test_auto_takes_the_cores_where_numba_cuda_is_not_installed(tank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(number: int) -> None:
        raise MissingExtraError("needs numba_cuda: pip install 'std-daq[cuda]'")

    monkeypatch.setattr(device, "obstacle_to", missing)
    with structlog.testing.capture_logs() as logs:
        assert open_backend(tank, seed=0, name="auto", n_threads=1).name == "cpu"
    assert logs[0]["why"] == "needs numba_cuda: pip install 'std-daq[cuda]'"
    with pytest.raises(MissingExtraError):
        open_backend(tank, seed=0, name="cuda", n_threads=1)


def test_an_obstacle_names_argument_value_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "obstacle_to", found(Obstacle("--device", 3, "CUDA shows no GPU", "look")))
    with pytest.raises(ArgumentError, match=r"^argument --device: CUDA shows no GPU \(got '3'\); look$"):
        check_device(3)


def test_what_a_driver_raises_names_the_gpu() -> None:
    expected = r"^GPU 1 cannot propagate: RuntimeError: two lines; `nvidia-smi` shows"
    with pytest.raises(DeviceError, match=expected), device_errors(1, "propagate"):
        raise RuntimeError("two\nlines:")


def test_an_engine_that_is_not_there_is_told(tank: Path) -> None:
    with pytest.raises(ArgumentError, match="argument --backend: there is no such engine"):
        open_backend(tank, seed=0, name="opticks", n_threads=1)
