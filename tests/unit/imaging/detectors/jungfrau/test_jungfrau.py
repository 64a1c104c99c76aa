import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.config import DetectorConfig, parse_config
from std_daq.imaging.detectors.jungfrau import Jungfrau
from std_daq.imaging.detectors.jungfrau.geometry import WITH_GAPS, copy_into_gaps
from std_daq.imaging.detectors.jungfrau.kernels import correct_to_counts, correct_to_energy, spread_double_pixels
from std_daq.imaging.detectors.module_map import ChipGrid, Placement
from std_daq.imaging.detectors.reference_receiver import receive_frame
from std_daq.imaging.detectors.registry import open_detector

ALL = np.full(2, 2**64 - 1, np.uint64)


def jungfrau_config(n_modules: int = 1, *, gap: int = 2, options: dict[str, Any] | None = None, **changes: Any) -> Any:
    height, width = 512 + gap, 1024 + 3 * gap
    values: dict[str, Any] = {
        "detector_name": "JF",
        "detector_type": "jungfrau",
        "n_modules": n_modules,
        "bit_depth": 16,
        "image_pixel_height": n_modules * height,
        "image_pixel_width": width,
        "start_udp_port": 50000,
        "module_positions": {i: (0, i * height, width - 1, (i + 1) * height - 1) for i in range(n_modules)},
        "detector": options or {},
    }
    return DetectorConfig(**(values | changes))


def raw_of(n_modules: int, seed: int) -> NDArray[np.uint16]:
    """Any 16 bits, the invalid gain code included."""
    return np.random.default_rng(seed).integers(0, 2**16, (n_modules, 512, 1024)).astype(np.uint16)


def energies(raw: NDArray[Any], options: dict[str, Any], *, is_high_gain: bool = False) -> NDArray[np.float32]:
    """The documented formula in plain numpy, (n_modules, 512, 1024)."""
    n_modules = len(raw)
    with h5py.File(options["pedestal_file"]) as pedestal_file, h5py.File(options["gain_file"]) as gain_file:
        pedestal = pedestal_file["gains"][:].reshape(-1, n_modules, 512, 1024)
        gain = gain_file["gains"][:].reshape(-1, n_modules, 512, 1024)
        mask = pedestal_file["pixel_mask"][:].reshape(n_modules, 512, 1024)
    adc, code = (raw & 0x3FFF).astype(np.float32), raw >> 14
    result = np.full(raw.shape, np.nan, np.float32)
    for number, plane in ((0, 3 if is_high_gain else 0), (1, 1), (3, 2)):
        energy = (adc - pedestal[plane].astype(np.float32)) * (1 / gain[plane]).astype(np.float32)
        result = np.where(code == number, energy, result)
    result[mask != 0] = np.nan
    return result


def converted(detector: Jungfrau, raw: NDArray[Any], daq_rec: int = 0) -> NDArray[Any]:
    converter = detector.converter()
    image = np.full(detector.config.image_shape, 99, detector.image_dtype)
    converter.fill_gaps(image)
    for module in range(detector.config.n_submodules):
        sent = detector.packets(module, 5, raw[module], pulse_id=7, timestamp=9, daq_rec=daq_rec)
        frame, received = receive_frame(detector.packet_layout(module), [bytes(packet) for packet in sent.packets])
        converter.convert(module, frame, received, daq_rec, image)
    return image


def placed(detector: Jungfrau, values: NDArray[Any], fill: Any) -> NDArray[Any]:
    image = np.full(detector.config.image_shape, fill, values.dtype)
    for module, placement in enumerate(detector.placements):
        detector.grid.place(values[module], placement.view(image))
    return image


def test_the_registry_opens_a_jungfrau() -> None:
    assert isinstance(open_detector(jungfrau_config()), Jungfrau)


@pytest.mark.parametrize("gap", [0, 2])
def test_raw_packets_become_the_image(gap: int) -> None:
    detector = Jungfrau(jungfrau_config(2, gap=gap))
    raw = raw_of(2, seed=1)
    assert detector.image_dtype == np.uint16
    np.testing.assert_array_equal(converted(detector, raw), placed(detector, raw, np.uint16(0)))


def test_one_module_needs_no_position() -> None:
    detector = Jungfrau(jungfrau_config(gap=0, module_positions={}))
    raw = raw_of(1, seed=1)
    np.testing.assert_array_equal(converted(detector, raw), raw[0])


@pytest.mark.parametrize("is_high_gain", [False, True])
def test_energies_are_byte_exact_with_the_documented_formula(correcting: dict[str, Any], is_high_gain: bool) -> None:
    detector = Jungfrau(jungfrau_config(2, options=correcting))
    raw = raw_of(2, seed=2)
    expected = energies(raw, correcting, is_high_gain=is_high_gain)
    image = converted(detector, raw, daq_rec=int(is_high_gain))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, placed(detector, expected, np.float32(np.nan)))


def test_energies_are_within_rounding_of_a_division_in_double_precision(correcting: dict[str, Any]) -> None:
    detector = Jungfrau(jungfrau_config(2, gap=0, options=correcting))
    raw = raw_of(2, seed=2) & 0x3FFF
    with h5py.File(correcting["pedestal_file"]) as pedestals, h5py.File(correcting["gain_file"]) as gains:
        exact = ((raw.reshape(1024, 1024) - pedestals["gains"][0]) / gains["gains"][0]).astype(np.float64)
    image = converted(detector, raw)
    is_valid = np.isfinite(image)
    assert is_valid.sum() == image.size - 2
    # Half an ADU step of float32 at 16384, in keV, besides the relative rounding.
    np.testing.assert_allclose(image[is_valid], exact[is_valid], rtol=3e-7, atol=3e-5)


def test_counts_are_energies_divided_by_the_factor_and_rounded(correcting: dict[str, Any]) -> None:
    options = correcting | {"conversion": "counts", "factor": 12.4}
    detector = Jungfrau(jungfrau_config(2, options=options))
    raw = raw_of(2, seed=3)
    photons = np.rint(energies(raw, options) / np.float32(12.4))
    expected = np.where(np.isnan(photons), 0, photons).astype(np.int32)
    image = converted(detector, raw)
    assert image.dtype == np.int32
    np.testing.assert_array_equal(image, placed(detector, expected, np.int32(0)))


def test_masked_pixels_keep_their_value_where_the_mask_is_not_applied(correcting: dict[str, Any]) -> None:
    raw = np.zeros((2, 512, 1024), np.uint16)
    masked = converted(Jungfrau(jungfrau_config(2, gap=0, options=correcting)), raw)
    options = correcting | {"apply_mask": False, "mask_file": correcting["pedestal_file"]}
    unmasked = converted(Jungfrau(jungfrau_config(2, gap=0, options=options)), raw)
    assert np.isnan(masked[700, 255])
    assert np.isfinite(unmasked[700, 255])
    assert np.isnan(unmasked[10, 20])  # its pedestal is not a number


def test_a_high_gain_frame_is_filled_where_files_have_no_high_gain(calibration_dir: Path, tmp_path: Path) -> None:
    with h5py.File(calibration_dir / "pedestal.h5") as source, h5py.File(tmp_path / "p.h5", "w") as target:
        target["gains"], target["pixel_mask"] = source["gains"][:3], source["pixel_mask"][:]
    options = {
        "conversion": "kev",
        "pedestal_file": str(tmp_path / "p.h5"),
        "gain_file": str(calibration_dir / "gain.h5"),
    }
    detector = Jungfrau(jungfrau_config(2, options=options))
    raw = raw_of(2, seed=4)
    assert np.isnan(converted(detector, raw, daq_rec=1)).all()
    assert np.isfinite(converted(detector, raw, daq_rec=2)).any()


def test_a_saturated_pixel_keeps_the_largest_energy_of_its_pixel(correcting: dict[str, Any]) -> None:
    detector = Jungfrau(jungfrau_config(2, gap=0, options=correcting))
    saturated = converted(detector, np.full((2, 512, 1024), 0xC000, np.uint16))
    below = converted(detector, np.full((2, 512, 1024), 0xC001, np.uint16))
    is_good = np.isfinite(saturated)
    assert (saturated[is_good] > below[is_good]).all()


def test_the_sum_is_kept_when_double_pixels_are_shared(correcting: dict[str, Any]) -> None:
    options = correcting | {"conversion": "counts", "factor": 0.01, "double_pixels": "share"}
    raw = next(iter(Jungfrau(jungfrau_config(2)).simulated_frames("counter", 1)))
    shared = converted(Jungfrau(jungfrau_config(2, options=options)), raw)
    kept = converted(Jungfrau(jungfrau_config(2, options=options | {"double_pixels": "keep"})), raw)
    assert shared.sum(dtype=np.int64) == kept.sum(dtype=np.int64)
    corner = kept[255, 255]
    assert abs(shared[255:257, 255:257] - corner / 4).max() < 2
    assert abs(shared[100, 255:257] - kept[100, 255] / 2).max() < 1
    assert abs(shared[100, 257:259] - kept[100, 258] / 2).max() < 1
    assert (kept[256:258] == 0).all()


def test_gap_pixels_repeat_their_neighbour_when_double_pixels_are_copied(correcting: dict[str, Any]) -> None:
    raw = raw_of(2, seed=5)
    copied = converted(Jungfrau(jungfrau_config(2, options=correcting | {"double_pixels": "copy"})), raw)
    kept = converted(Jungfrau(jungfrau_config(2, options=correcting)), raw)
    for top in (0, 514):
        copy_into_gaps(kept[top : top + 514])
    np.testing.assert_array_equal(copied, kept)


flips = st.tuples(st.booleans(), st.booleans())


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(flips, st.sampled_from(["raw", "kev", "copy", "counts", "share"]), st.integers(0, 2**128 - 1))
def test_every_pixel_that_arrived_is_right_and_no_other_is_touched(
    calibration_dir_of_one: Path, flip: tuple[bool, bool], kind: str, bitmap: int
) -> None:
    x0, x1 = (1033, 4) if flip[0] else (4, 1033)
    y0, y1 = (516, 3) if flip[1] else (3, 516)
    options: dict[str, Any] = {"conversion": "raw"}
    if kind != "raw":
        options = {
            "conversion": {"copy": "kev", "share": "counts"}.get(kind, kind),
            "pedestal_file": str(calibration_dir_of_one / "pedestal.h5"),
            "gain_file": str(calibration_dir_of_one / "gain.h5"),
            "double_pixels": kind if kind in ("copy", "share") else "keep",
        }
        if kind in ("counts", "share"):
            options["factor"] = 12.4
    detector = Jungfrau(
        jungfrau_config(
            options=options,
            module_positions={0: (x0, y0, x1, y1)},
            image_pixel_height=520,
            image_pixel_width=1040,
            assembler={"fill_value": 3},
        )
    )
    raw = raw_of(1, seed=bitmap % 1000)
    sent = detector.packets(0, 1, raw[0], pulse_id=0, timestamp=0)
    arrived = [bytes(packet) for unit, packet in enumerate(sent.packets) if bitmap >> unit & 1]
    frame, received = receive_frame(detector.packet_layout(0), arrived)
    frame.flags.writeable = False
    image = np.full(detector.config.image_shape, 99, detector.image_dtype)
    converter = detector.converter()
    converter.fill_gaps(image)
    assert (image[:3] == 3).all()
    image[:3] = image[517:] = 98
    converter.convert(0, frame, received, 0, image)
    assert (image[:3] == 98).all()
    assert (image[517:] == 98).all()

    values: NDArray[Any] = raw
    if kind != "raw":
        values = energies(raw, options)
    if kind in ("counts", "share"):
        values = np.rint(values / np.float32(12.4))
    has_arrived = np.array([bitmap >> (row // 4) & 1 for row in range(512)], bool)
    values = np.where(np.isnan(values) | ~has_arrived[None, :, None], 3, values).astype(detector.image_dtype)
    expected = np.full((514, 1030), 3, detector.image_dtype)
    WITH_GAPS.place(values[0], expected)
    if kind == "copy":
        copy_into_gaps(expected)
    if kind == "share":
        share_reference(expected, 3)
    np.testing.assert_array_equal(detector.placements[0].view(image), expected)

    converter.fill(0, image)
    assert (image[3:517] == 3).all()


@pytest.fixture(scope="session")
def calibration_dir_of_one(calibration_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one_module")
    for name in ("pedestal.h5", "gain.h5"):
        with h5py.File(calibration_dir / name) as source, h5py.File(folder / name, "w") as target:
            target["gains"] = source["gains"][:, :512]
            if "pixel_mask" in source:
                target["pixel_mask"] = source["pixel_mask"][:512]
    return folder


def share_reference(rectangle: NDArray[Any], fill: Any) -> None:
    for axis_first in (rectangle.T, rectangle):
        for edge in range(255, len(axis_first) - 3, 258):
            for real, gap in ((edge, edge + 1), (edge + 3, edge + 2)):
                value = axis_first[real].copy()
                part = np.trunc(value / 2) if rectangle.dtype.kind == "i" else value / 2
                part = np.where(value == fill, fill, part).astype(rectangle.dtype)
                axis_first[gap] = part
                axis_first[real] = np.where(value == fill, fill, value - part)


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize(("y_step", "x_step"), [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_kernels_agree_with_numpy_compiled_and_interpreted(
    is_compiled: bool, y_step: int, x_step: int, dtype: type
) -> None:
    grid = ChipGrid(rows=8, columns=16, chip=4, gap=2)
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 2**16, (8, 16)).astype(np.uint16)
    table = rng.normal(100, 50, (8, 16, 4, 2)).astype(np.float32)
    table[rng.random((8, 16, 4)) < 0.1] = np.nan
    table[0, 0, :, 1] = 1e30  # larger than any int32
    table[0, 1, :, 1] = -1e30
    height, width = grid.size
    at = Placement(1 if y_step > 0 else height, 1 if x_step > 0 else width, y_step, x_step, height, width)
    image = np.full((height + 2, width + 2), 5, dtype)
    steps = (at.y_first, at.x_first, y_step, x_step)
    code_0 = np.concatenate([table[:, :, 0, 0], table[:, :, 0, 1]], axis=1)
    raw[:, 4:8] &= 0x3FFF  # a chip with code 0 only
    factor, fill = np.float32(3.7), dtype(-9)
    received = np.array([0b1011], np.uint64)
    if dtype is np.float32:
        function = correct_to_energy if is_compiled else correct_to_energy.py_func
        function(raw, received, 2, 0, 4, 2, code_0, table.reshape(8, -1), image, *steps, fill)
    else:
        function = correct_to_counts if is_compiled else correct_to_counts.py_func
        function(raw, received, 2, 0, 4, 2, code_0, table.reshape(8, -1), factor, image, *steps, fill)

    used = np.take_along_axis(table, (raw >> 14).astype(int)[:, :, None, None], axis=2)[:, :, 0]
    values = ((raw & 0x3FFF).astype(np.float32) - used[..., 0]) * used[..., 1]
    if dtype is np.int32:
        values = np.clip(np.rint(values / factor), np.float32(-(2**31)), np.float32(2**31 - 128))
    values = np.where(np.isnan(values), fill, values).astype(dtype)
    values[4:6] = fill
    expected = np.full_like(image, 5)
    grid.place(values, at.view(expected))
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_double_pixels_are_spread_the_same_compiled_and_interpreted(is_compiled: bool, dtype: type) -> None:
    image = np.random.default_rng(0).integers(-50, 50, (514, 1030)).astype(dtype)
    expected = image.copy()
    share_reference(expected, 3)
    function = spread_double_pixels if is_compiled else spread_double_pixels.py_func
    function(image, 256, 0, 512, 0, 0, 1, 1, True, dtype(3))
    np.testing.assert_array_equal(image, expected)


def test_a_module_that_is_off_is_filled_and_masked() -> None:
    detector = Jungfrau(jungfrau_config(2, gap=2, deactivate=[1]))
    raw = raw_of(2, seed=6)
    image = converted(detector, raw)
    assert (image[514:] == 0).all()
    mask = detector.pixel_mask()
    assert (mask[514:] == 2).sum() == 512 * 1024
    assert (mask[:514] == 1).sum() == 514 * 1030 - 512 * 1024


def test_the_mask_holds_bad_pixels_and_virtual_ones(correcting: dict[str, Any]) -> None:
    kept = Jungfrau(jungfrau_config(2, options=correcting)).pixel_mask()
    assert kept[10, 20] == 2
    assert kept[514 + 188, 255] == 2
    assert kept[514 + 188, 256] == 1
    copied = Jungfrau(jungfrau_config(2, options=correcting | {"double_pixels": "copy"})).pixel_mask()
    assert copied[514 + 188, 255] == 2
    assert copied[514 + 188, 256] == 2**31 + 2
    assert copied[0, 256] == 2**31
    assert not (copied & 1).any()


def test_the_mask_is_applied_where_pixels_are_corrected_and_nobody_wants_it_otherwise(
    correcting: dict[str, Any],
) -> None:
    def is_applied(options: dict[str, Any]) -> bool:
        return Jungfrau(jungfrau_config(2, options=options)).is_pixel_mask_applied

    assert is_applied({}), "gaps and modules that are off hold the fill value"
    assert is_applied(correcting)
    assert not is_applied({"conversion": "raw", "mask_file": "mask.h5"})
    assert not is_applied(correcting | {"apply_mask": False, "mask_file": "mask.h5"})


@pytest.mark.parametrize(("image_id", "expected"), [("pulse_id", 123456789012), ("frame_number", 5)])
def test_images_are_named_by_pulse_or_frame_as_configured(image_id: str, expected: int) -> None:
    detector = Jungfrau(jungfrau_config(image_id=image_id))
    sent = detector.packets(0, 5, raw_of(1, 0)[0], pulse_id=123456789012, timestamp=3, daq_rec=1)
    layout = detector.packet_layout(0)
    packet = bytes(sent.packets[9])
    assert (layout.image_id or layout.key).read(packet) == expected
    assert layout.key.read(packet) == 5
    assert layout.unit.read(packet) == 9
    assert layout.pulse_id is not None
    assert layout.pulse_id.read(packet) == 123456789012
    assert layout.daq_rec is not None
    assert layout.daq_rec.read(packet) == 1
    assert layout.frame_bytes == 2**20
    assert len(packet) == layout.max_packet_bytes == 8240


def test_photons_come_back_through_the_correction(correcting: dict[str, Any]) -> None:
    options = correcting | {"conversion": "counts", "factor": 12.4}
    detector = Jungfrau(jungfrau_config(2, options=options))
    raw = next(iter(detector.simulated_frames("photons", 3)))
    assert set(np.unique(raw >> 14)) == {0, 1, 3}
    image = converted(detector, raw)
    in_stage_0 = detector.grid.take(detector.placements[0].view(image))[raw[0] >> 14 == 0]
    # One photon is 500 ADU and the noise 4: counts of stage 0 are exact.
    assert in_stage_0.min() == 0
    assert 0.1 < in_stage_0.mean() < 5
    assert image.max() > 1000


def test_dark_patterns_have_the_bits_of_their_forced_gain() -> None:
    detector = Jungfrau(jungfrau_config())
    for pattern, code in (("dark", 0), ("dark_g0", 0), ("dark_g1", 1), ("dark_g2", 3)):
        assert (next(iter(detector.simulated_frames(pattern, 0))) >> 14 == code).all()
    run = itertools.islice(detector.simulated_frames("pedestal", 0), 0, 300, 99)
    assert [int(frame[0, 0, 0] >> 14) for frame in run] == [0, 0, 1, 3]


def test_counter_frames_use_every_valid_gain_and_repeat_for_one_seed() -> None:
    detector = Jungfrau(jungfrau_config(2))
    one, other = (list(itertools.islice(detector.simulated_frames("counter", 8), 3)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert set(np.unique(np.array(one) >> 14)) == {0, 1, 3}


def test_users_spelling_of_a_corrected_jungfrau_asks_for_its_files() -> None:
    document = jungfrau_config().model_dump(mode="json", exclude={"detector"}) | {"detector_type": "jungfrau-converted"}
    with pytest.raises(ConfigError, match="needs pedestal_file"):
        Jungfrau(parse_config(document))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bit_depth": 32}, r"key 'bit_depth': .*got 32"),
        ({"gap": 1}, r"key 'module_positions.0': .*1027 x 513 .*1024 x 512 or 1030 x 514"),
        ({"options": {"conversion": "keV"}}, r"key 'detector.conversion'.*got 'keV'"),
        ({"options": {"conversion": "kev"}}, r"key 'detector': conversion 'kev' needs pedestal_file"),
        ({"options": {"conversion": "kev", "pedestal_file": "p"}}, r"needs gain_file"),
        (
            {"options": {"conversion": "counts", "pedestal_file": "p", "gain_file": "g"}},
            r"conversion 'counts' needs factor",
        ),
        ({"options": {"factor": 0}}, r"key 'detector.factor': .*greater than 0"),
        ({"options": {"factor": 8}}, r"factor has no meaning for conversion 'raw'"),
        ({"options": {"double_pixels": "copy"}}, r"double_pixels 'copy' needs energies"),
        (
            {
                "gap": 0,
                "options": {"conversion": "kev", "pedestal_file": "p", "gain_file": "g", "double_pixels": "copy"},
            },
            r"key 'detector.double_pixels': modules are placed without gaps",
        ),
        ({"options": {"pedestal": "x"}}, r"key 'detector.pedestal': unknown key; did you mean 'pedestal_file'"),
        ({"assembler": {"fill_value": -1}}, r"key 'assembler.fill_value'"),
    ],
)
def test_a_wrong_configuration_is_refused_with_key_and_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Jungfrau(jungfrau_config(**changes))
