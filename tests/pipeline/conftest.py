"""Configurations of whole beamlines, small enough for two cores."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_test_kit.beamline import Beamline
from std_test_kit.beamline_documents import beamline_document
from std_test_kit.shared_data import REAL_EIGER
from std_test_kit.store_driver import RingPublisher

OpenBeamline = Callable[..., Beamline]


@pytest.fixture
def beamline_config(tmp_path: Path, shm_dir: Path, runtime: Path, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Makes the document of a beamline's detector.json: ``beamline_config("eiger", ram_buffer_gb=0.1)``."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**8}"

    def make(kind: str, **changes: Any) -> dict[str, Any]:
        return beamline_document(kind, name, tmp_path, shm_dir, **changes)

    return make


@pytest.fixture
def jungfrau_tables(tmp_path: Path) -> dict[str, Any]:
    """Options of a JUNGFRAU of two modules that is corrected to keV."""
    random = np.random.default_rng(1)
    shape = (4, 1024, 1024)
    pedestal = np.array([2500, 14000, 13500, 2600], np.float32)[:, None, None]
    gain = np.array([40, -1.4, -0.1, 100], np.float32)[:, None, None]
    with h5py.File(tmp_path / "pedestal.h5", "x") as file:
        file["gains"] = (pedestal + random.normal(0, 50, shape)).astype(np.float32)
        file["pixel_mask"] = (random.random(shape[1:]) < 0.001).astype(np.uint32)
    with h5py.File(tmp_path / "gain.h5", "x") as file:
        file["gains"] = (gain * random.normal(1, 0.03, shape)).astype(np.float32)
    return {
        "conversion": "kev",
        "pedestal_file": str(tmp_path / "pedestal.h5"),
        "gain_file": str(tmp_path / "gain.h5"),
    }


@pytest.fixture
def open_beamline(tmp_path: Path, broker_url: str) -> Iterator[OpenBeamline]:
    """Starts a beamline; it is ended with the test: ``open_beamline(config, *options of std-daq up)``."""
    opened: list[Beamline] = []

    def start(config: dict[str, Any], *options: str) -> Beamline:
        beamline = Beamline(tmp_path, broker_url, config, options=options)
        beamline.__enter__()
        opened.append(beamline)
        return beamline

    yield start
    for beamline in opened:
        beamline.__exit__(None, None, None)


@pytest.fixture
def eiger_data() -> Path:
    """The folder with packets of a real EIGER module, which lies beside the project and not in it."""
    if not REAL_EIGER.is_dir():
        pytest.skip(f"there is no {REAL_EIGER}; set STD_DAQ_SHARED_DATA")
    return REAL_EIGER


@pytest.fixture
def ring_of(runtime: Path, shm_dir: Path) -> Iterator[Callable[[DetectorConfig], RingPublisher]]:
    rings: list[RingPublisher] = []

    def make(config: DetectorConfig, n_slots: int = 64, **options: Any) -> RingPublisher:
        rings.append(RingPublisher(image_buffer_path(config), **{"shape": (4, 8), "n_slots": n_slots, **options}))
        return rings[-1]

    yield make
    for ring in rings:
        ring.close()
