"""Programs of users, and files for them. scripts/test-readers installs the programs, and tells where they are."""

import dataclasses
import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.master_file import write_master
from std_daq.recording.requests import RunReport, Verdict
from std_test_kit.image_files import SHAPE, describe, report_of, write_image_file

HERE = Path(__file__).parent
OMEGA = SampleAxis(name="omega", vector=(-1.0, 0.0, 0.0), is_rotation=True, start=10.0, increment=0.1)
INCOMPLETE = report_of(Verdict.INCOMPLETE)


@pytest.fixture
def readers_python() -> Path:
    return Path(os.environ["READERS_PYTHON"])


@pytest.fixture
def plugins(readers_python: Path) -> str:
    """Folder with the filters of HDF5."""
    command = [readers_python, "-c", "import hdf5plugin; print(hdf5plugin.PLUGIN_PATH)"]
    return subprocess.check_output(command, text=True, timeout=60).strip()


@pytest.fixture
def read_with_dxtbx(plugins: str) -> Callable[[Path], dict[str, Any]]:
    def read(path: Path) -> dict[str, Any]:
        command = [os.environ["DIALS_PYTHON"], HERE / "read_with_dxtbx.py", path]
        environment = {"PATH": os.environ["PATH"], "HDF5_PLUGIN_PATH": plugins, "HOME": str(path.parent)}
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=environment)
        assert ended.returncode == 0, ended.stderr
        read: dict[str, Any] = json.loads(ended.stdout)
        return read

    return read


def write(path: Path, image_ids: Any = range(1, 9), report: RunReport = INCOMPLETE, **changes: Any) -> Path:
    """Write a file with a rotation and a mask."""
    nexus = dataclasses.replace(describe().nexus, axes=(OMEGA,), **changes.pop("nexus", {}))
    mask = np.zeros(SHAPE, np.uint32)
    mask[3, 5] = 1
    return write_image_file(path, image_ids, report, first_id=1, nexus=nexus, **({"pixel_mask": mask} | changes))


@pytest.fixture(params=["none", "bslz4", "master"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file, compressed or not, or a master."""
    if request.param != "master":
        return write(tmp_path / "run.h5", compression=request.param)
    ids = (1, 2, 5, 6), (3, 4, 7, 8)
    sources = [
        write(tmp_path / f"run_data_00000{i + 1}.h5", ids[i], compression="bslz4", master_file="run.h5")
        for i in range(2)
    ]
    write_master(tmp_path / "run.h5", sources, INCOMPLETE)
    return tmp_path / "run.h5"


def is_unknown(value: float) -> bool:
    return math.isnan(value)
