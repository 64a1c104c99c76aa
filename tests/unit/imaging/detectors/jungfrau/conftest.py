from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray


def pedestals(n_planes: int, n_modules: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mean = np.array([4000, 14500, 14800, 3000][:n_planes])[:, None, None]
    return mean + rng.normal(0, 100, (n_planes, n_modules * 512, 1024))


def gains(n_planes: int, n_modules: int, seed: int = 1) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mean = np.array([41, -1.43, -0.11, 90, -1.4, -0.1][:n_planes])[:, None, None]
    return mean * (1 + rng.normal(0, 0.01, (n_planes, n_modules * 512, 1024)))


def write(path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


@pytest.fixture(scope="session")
def calibration_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of two modules, with high gain and a few bad pixels."""
    folder = tmp_path_factory.mktemp("calibration")
    mask = np.zeros((1024, 1024), np.uint8)
    mask[10, 20] = mask[700, 255] = 4
    values = pedestals(4, 2)
    values[:, 10, 20] = np.nan
    write(folder / "pedestal.h5", gains=values, pixel_mask=mask)
    write(folder / "gain.h5", gains=gains(6, 2))
    return folder


@pytest.fixture
def correcting(calibration_dir: Path) -> dict[str, Any]:
    """Options for conversion to keV of two modules."""
    return {
        "conversion": "kev",
        "pedestal_file": str(calibration_dir / "pedestal.h5"),
        "gain_file": str(calibration_dir / "gain.h5"),
    }
