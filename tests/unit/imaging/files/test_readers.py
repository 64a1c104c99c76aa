"""Programs that users have open the files and read the same bytes."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import nxmx
import pytest
import silx.io

from std_daq.imaging.files import layout
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.description import NexusMetadata
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.validate import validate
from std_test_kit.image_files import SHAPE, image_of, report_of, write_image_file

IDS = range(1, 9)
OMEGA = SampleAxis(name="omega", vector=(-2.0, 0.0, 0.0), is_rotation=True, start=10.0, increment=0.1)
KAPPA = SampleAxis(name="kappa", vector=(0.0, 0.6, 0.8), is_rotation=True, start=30.0)
SAM_X = SampleAxis(
    name="sam_x", vector=(1.0, 0.0, 0.0), is_rotation=False, values=(0.0, 1e-6, 4e-6), offset_m=(0.0, 0.0, 0.1)
)
KNOWN = NexusMetadata(
    title="first try",
    distance_m=0.15,
    x_pixel_size_m=75e-6,
    y_pixel_size_m=75e-6,
    beam_center_x=47.5,
    beam_center_y=31.0,
    incident_wavelength_angstrom=0.97,
    flux_hz=1e12,
    beam_size_m=(2e-5, 1e-5),
    transmission=0.25,
    axes=(SAM_X, OMEGA, KAPPA),
    instrument_name="X06SA",
    source_name="SLS",
    sample_name="crystal 7",
    sample_description="Lysozym, Zürich",
    sample_temperature_k=100.0,
    proposal="20261234",
    user_name="E. Muster",
)


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


def test_a_reader_of_nxmx_finds_every_value(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(3), report_of(), nexus=KNOWN)
    with h5py.File(path) as file:
        entry = nxmx.NXmx(file).entries[0]
        sample, instrument = entry.samples[0], entry.instruments[0]
        assert sample.name == "crystal 7"
        chain = nxmx.get_dependency_chain(sample.depends_on)
        assert [axis.path.rpartition("/")[2] for axis in chain] == ["sam_x", "omega", "kappa"]
        assert [axis.transformation_type for axis in chain] == ["translation", "rotation", "rotation"]
        assert [axis.vector.tolist() for axis in chain] == [[1, 0, 0], [-1, 0, 0], pytest.approx([0, 0.6, 0.8])]
        assert chain[0][()].to("um").magnitude.tolist() == pytest.approx([0, 1, 4])
        assert chain[0].offset.to("m").magnitude.tolist() == [0, 0, 0.1]
        assert chain[1][()].to("deg").magnitude.tolist() == pytest.approx([10, 10.1, 10.2])
        assert chain[2][()].to("deg").magnitude == 30
        assert instrument.beams[0].incident_wavelength.to("angstrom").magnitude == 0.97
        assert instrument.beams[0].total_flux.to("Hz").magnitude == 1e12
        assert file["entry/title"].asstr()[()] == "first try"
        assert file["entry/experiment_identifier"].asstr()[()] == "20261234"
        assert file["entry/user/name"].asstr()[()] == "E. Muster"
        assert file["entry/sample/description"].asstr()[()] == "Lysozym, Zürich"
        assert file["entry/sample/temperature"][()] == 100
        assert file["entry/instrument/attenuator/attenuator_transmission"][()] == 0.25
        assert file["entry/instrument/beam/incident_beam_size"][:].tolist() == [2e-5, 1e-5]


def test_a_distance_that_nobody_gave_is_not_zero_for_any_reader(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", range(3), report_of(), nexus=NexusMetadata())
    with h5py.File(path) as file:
        [module] = nxmx.NXmx(file).entries[0].instruments[0].detectors[0].modules
        chain = nxmx.get_dependency_chain(module.fast_pixel_direction)
        position = nxmx.get_cumulative_transformation(chain[1:])[0, :3, 3]
        assert np.isnan(position).all()
        assert f"{layout.DETECTOR}/distance" not in file
    [problem] = validate(path).problems
    assert "instrument/detector/distance" in problem.text
    assert "give wavelength_angstrom, distance_m, beam_center_px" in problem.remedy
    assert "section experiment of the request" in problem.remedy
