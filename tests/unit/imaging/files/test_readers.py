"""Programs that users have open the files and read the same bytes."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import nxmx
import pytest
import silx.io

from std_daq.imaging.files.master_file import write_master
from std_test_kit.image_files import SHAPE, image_of, report_of, write_image_file

IDS = range(1, 9)


@pytest.fixture(params=["none", "bslz4", "master"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param != "master":
        return write_image_file(tmp_path / "run.h5", IDS, report_of(), compression=request.param)
    sources = [
        write_image_file(tmp_path / f"run_data_00000{i + 1}.h5", IDS[4 * i : 4 * i + 4], report_of()) for i in range(2)
    ]
    write_master(tmp_path / "run.h5", sources, report_of())
    return tmp_path / "run.h5"


def test_h5py_and_hdf5plugin_read_all_images(path: Path) -> None:
    script = """
import sys, h5py, hdf5plugin
pixels = h5py.File(sys.argv[1])["/entry/data/data"][:]
sys.stdout.buffer.write(pixels.tobytes())
"""
    read = subprocess.check_output([sys.executable, "-c", script, path], timeout=60)
    assert read == b"".join(image_of(image_id).tobytes() for image_id in IDS)


def test_silx_shows_the_images_as_the_default_plot(path: Path) -> None:
    from silx.io import nxdata

    with silx.io.open(str(path)) as file:
        default = nxdata.get_default(file)
        assert default is not None
        assert default.is_valid
        assert default.interpretation == "image"
        assert np.array_equal(default.signal[()], [image_of(image_id) for image_id in IDS])


def test_nxmx_finds_detector_geometry_beam_and_times(path: Path) -> None:
    with h5py.File(path) as file:
        (entry,) = nxmx.NXmx(file).entries
        (instrument,) = entry.instruments
        (detector,) = instrument.detectors
        (beam,) = instrument.beams
        (module,) = detector.modules
        assert entry.definition == "NXmx"
        assert entry.start_time.year == 2026
        assert entry.end_time is not None
        assert entry.end_time_estimated is not None
        assert entry.source.name == "SLS"
        assert entry.samples[0].name == "unknown"
        assert entry.samples[0].depends_on is None
        assert beam.incident_wavelength.to("angstrom").magnitude == 1.0
        assert detector.description == "JUNGFRAU"
        assert detector.sensor_material == "Si"
        assert detector.sensor_thickness.to("um").magnitude == pytest.approx(320)
        assert detector.count_time.to("ms").magnitude == 1
        assert detector.frame_time.to("ms").magnitude == 2
        assert detector.saturation_value == 65000
        assert detector.bit_depth_readout == 32  # more than the values have; see test_highest_values
        assert module.data_size.tolist() == list(SHAPE)
        chain = nxmx.get_dependency_chain(module.fast_pixel_direction)
        origin = nxmx.get_cumulative_transformation(chain[1:])[0, :3, 3]
        assert origin == pytest.approx([24 * 0.075, 16 * 0.075, 200])
        (data,) = entry.data
        assert data.signal == "data" or data.signal == b"data"
        assert np.array_equal(data["data"][3], image_of(4))
