"""Tables, materials and surfaces: what Geant4 means, in the words of the geometry file."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.tables import HC
from std_test_kit.boundary_rays import table_at
from std_test_kit.gdml import bordered, gdml_text, placed, volume

Convert = Callable[..., dict[str, Any]]
SOLIDS = (
    """<box name="w" x="200" y="200" z="200"/><box name="b" x="10" y="10" z="10"/><box name="c" x="4" y="4" z="4"/>"""
)
ENERGIES = np.array([2.0664, 2.47968, 3.0996, 4.13281])


def _matrix(name: str, values: list[float], energies: np.ndarray = ENERGIES) -> str:
    pairs = " ".join(f"{energy}*eV {value}" for energy, value in zip(energies, values, strict=True))
    return f'<matrix name="{name}" coldim="2" values="{pairs}"/>'


def _material(convert: Convert, properties: dict[str, str], define: str = "") -> dict[str, Any]:
    """Return the entry of a material that a block consists of."""
    inner = "".join(f'<property name="{key}" ref="{reference}"/>' for key, reference in properties.items())
    structure = volume("block", "tried", "b") + volume("world", "water", "w", placed("block", "block"))
    materials = f'<material name="tried">{inner}</material>'
    text = gdml_text(solids=SOLIDS, structure=structure, materials=materials, define=define)
    entry: dict[str, Any] = convert(text)["materials"]["tried"]
    return entry


def _surface(
    convert: Convert, attributes: str, properties: dict[str, str], define: str = "", *, behind: str = "glass",
    content: str = "", **options: Any,
) -> dict[str, Any] | None:  # fmt: skip
    """Return the entry of the surface that is the skin of a block."""
    inner = "".join(f'<property name="{key}" ref="{reference}"/>' for key, reference in properties.items())
    surface = f'<opticalsurface name="tried" {attributes}>{inner}{content}</opticalsurface>'
    structure = (
        volume("block", behind, "b") + volume("world", "water", "w", placed("block", "block"))
        + '<skinsurface name="k" surfaceproperty="tried"><volumeref ref="block"/></skinsurface>'
    )  # fmt: skip
    geometry = convert(gdml_text(solids=SOLIDS + surface, structure=structure, define=define), **options)
    (solid,) = geometry["solids"]
    entry: dict[str, Any] | None = geometry["surfaces"].get(solid.get("surface"))
    return entry


METAL = 'model="unified" finish="polished" type="dielectric_metal" value="1"'


def test_a_table_follows_geant4_between_its_points(convert: Convert) -> None:
    """Geant4 is linear in energy."""
    values = [2000, 2000, 1500, 0.1]
    entry = _material(convert, {"RINDEX": "water_n", "ABSLENGTH": "a"}, _matrix("a", values))
    for wavelength in np.linspace(300.5, 599, 997):
        expected = np.interp(HC * 1e6 / wavelength, ENERGIES, values)
        assert table_at(entry["absorption_length"], wavelength) == pytest.approx(expected, rel=1.1e-4)


def test_a_table_is_clamped_at_its_ends_and_constant_where_it_is_one_point(convert: Convert) -> None:
    entry = _material(
        convert,
        {"RINDEX": "one_point", "RAYLEIGH": "r"},
        _matrix("r", [7e5, 3e5, 1e5, 3e4]) + _matrix("one_point", [1.58], ENERGIES[:1]),
    )
    assert entry["refractive_index"] == 1.58
    assert table_at(entry["scattering_length"], 900) == pytest.approx(7e5)
    assert table_at(entry["scattering_length"], 200) == pytest.approx(3e4)


def test_the_order_of_a_table_does_not_matter(convert: Convert) -> None:
    rising = _material(convert, {"RINDEX": "r"}, _matrix("r", [1.3, 1.33, 1.34, 1.36]))
    falling = _material(convert, {"RINDEX": "r"}, _matrix("r", [1.36, 1.34, 1.33, 1.3], ENERGIES[::-1]))
    assert rising == falling


def test_numbers_without_unit_are_mev_mm_and_ns(convert: Convert) -> None:
    define = """<matrix name="a" coldim="2" values="2e-06 500 4e-06 100"/>
    <matrix name="g" coldim="2" values="2e-06 200 4e-06 200"/>"""
    entry = _material(convert, {"RINDEX": "water_n", "ABSLENGTH": "a", "GROUPVEL": "g"}, define)
    assert table_at(entry["absorption_length"], HC / 3e-6) == pytest.approx(300, rel=1e-4)
    assert entry["group_index"] == pytest.approx(299.792458 / 200)


def test_rslength_goes_before_rayleigh(convert: Convert) -> None:
    define = _matrix("r", [1, 1, 1, 1]) + _matrix("s", [2, 2, 2, 2])
    assert _material(convert, {"RINDEX": "water_n", "RAYLEIGH": "r", "RSLENGTH": "s"}, define)["scattering_length"] == 2


def test_a_medium_without_index_lets_nothing_through(convert: Convert) -> None:
    assert _material(convert, {"ABSLENGTH": "a"}, _matrix("a", [1, 1, 1, 1]))["absorption_length"] <= 1e-6


RAT = {
    "RINDEX": "water_n", "ABSLENGTH": "total", "NUM_COMP": "two", "ABSLENGTH0": "first", "REEMISSION_PROB0": "half",
    "ABSLENGTH1": "second", "SCINTILLATION": "light", "REEMITWAVEFORM0": "decay",
}  # fmt: skip


def test_components_of_rat_are_taken_out_of_the_whole(convert: Convert) -> None:
    define = (
        _matrix("total", [100, 100, 50, 50]) + _matrix("first", [400, 400, 200, 200])
        + _matrix("second", [400, 400, 200, 200]) + _matrix("light", [0, 1, 2, 0])
        + '<matrix name="two" coldim="1" values="2"/><matrix name="decay" coldim="2" values="-1.5 0.7 -20 0.3"/>'
    )  # fmt: skip
    entry = _material(convert, RAT, define)
    assert table_at(entry["absorption_length"], 550) == pytest.approx(200)
    assert table_at(entry["absorption_length"], 320) == pytest.approx(100)
    first, second = entry["reemission"]
    assert first["decay_times"] == [[1.5, 0.7], [20, 0.3]]
    assert (first["probability"], second["probability"]) == (0.5, 0)
    # Per nm: the value times E²; 1 at 2.47968 eV, 2 at 3.0996 eV.
    ratio = table_at(first["spectrum"], 400) / table_at(first["spectrum"], 500)
    assert ratio == pytest.approx(2 * (500 / 400) ** 2, rel=1e-3)


def test_components_that_are_the_whole_leave_no_other_absorption(convert: Convert) -> None:
    lengths = [100000, 50000, 8000, 1]
    define = (
        _matrix("total", lengths) + _matrix("first", lengths) + _matrix("light", [0, 1, 2, 0])
        + '<matrix name="two" coldim="1" values="1"/><matrix name="decay" coldim="2" values="-1.5 1"/>'
    )  # fmt: skip
    properties = {key: value for key, value in RAT.items() if key != "ABSLENGTH1"}
    assert "absorption_length" not in _material(convert, properties, define)


def test_wavelength_shifting_of_geant4_stands_beside_absorption(convert: Convert, report: ImportReport) -> None:
    properties = {
        "RINDEX": "water_n",
        "ABSLENGTH": "a",
        "WLSABSLENGTH": "w",
        "WLSCOMPONENT": "light",
        "WLSTIMECONSTANT": "t",
    }
    define = _matrix("a", [100] * 4) + _matrix("w", [20] * 4) + _matrix("light", [1, 2, 0, 0])
    entry = _material(convert, properties, define + '<matrix name="t" coldim="1" values="3*ns"/>')
    assert entry["absorption_length"] == 100
    (component,) = entry["reemission"]
    assert (component["absorption_length"], component["probability"], component["decay_times"]) == (20, 1, [[3, 1]])
    assert not report.not_representable


def test_a_sampled_waveform_and_mie_scattering_are_told(convert: Convert, report: ImportReport) -> None:
    define = (
        "".join(_matrix(one, [100] * 4) for one in ("total", "first", "second")) + _matrix("light", [0, 1, 2, 0])
        + '<matrix name="two" coldim="1" values="2"/><matrix name="decay" coldim="2" values="0 0 1 1 2 0.5"/>'
    )  # fmt: skip
    _material(convert, RAT | {"MIEHG": "total"}, define)
    told = " ".join(report.not_representable)
    assert "REEMITWAVEFORM0 is a sampled waveform" in told
    assert "MIEHG" in told


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ("1 1.3 2 1.3", r"wavelengths of .* which are not from 50 to 2000"),
        ("0 1 2e-6 1", "an energy of 0"),
        ("-2e-6 1 2e-6 1", "an energy of 0 or less"),
    ],
)
def test_a_table_of_no_light_is_refused(convert: Convert, values: str, problem: str) -> None:
    with pytest.raises(DetectorImportError, match=f"material 'tried', property RINDEX: {problem}"):
        _material(convert, {"RINDEX": "r"}, f'<matrix name="r" coldim="2" values="{values}"/>')


def test_a_table_that_light_does_not_need_may_be_anything(convert: Convert) -> None:
    _material(
        convert, {"RINDEX": "water_n", "SCINTILLATIONYIELD": "y"}, '<matrix name="y" coldim="2" values="-1 5 1 5"/>'
    )


def test_a_detector_without_any_index_is_refused(convert: Convert) -> None:
    structure = volume("block", "steel", "b") + volume("world", "steel", "w", placed("block", "block"))
    with pytest.raises(DetectorImportError, match="no material has an index of refraction"):
        convert(gdml_text(solids=SOLIDS, structure=structure))


def test_materials_of_one_name_are_kept_apart(convert: Convert) -> None:
    materials = """<material name="m0x1"><property name="RINDEX" ref="one"/></material>
    <material name="m0x2"><property name="RINDEX" ref="glass_n"/></material>"""
    structure = (
        volume("a", "m0x1", "b")
        + volume("b", "m0x2", "c")
        + volume("world", "water", "w", placed("a", "a") + placed("b", "b", at='z="50"'))
    )
    geometry = convert(gdml_text(solids=SOLIDS, structure=structure, materials=materials))
    assert sorted(geometry["materials"]) == ["m", "m 2", "water"]
    assert {(one["inner"], one["size"][0]) for one in geometry["solids"]} == {("m", 10), ("m 2", 4)}


R4 = _matrix("r", [0.4] * 4)
E3 = _matrix("e", [0.25] * 4)
SPIKE = _matrix("spike", [0.3] * 4) + _matrix("lobe", [0.2] * 4)


@pytest.mark.parametrize(
    ("attributes", "extra", "expected"),
    [
        ('model="0" finish="0" type="0" value="0.3"', {}, {"reflect_specular": 0.4}),
        ('model="glisur" finish="ground" type="dielectric_metal" value="1"', {}, {"reflect_specular": 0.4}),
        ('model="unified" finish="ground" type="dielectric_metal" value="0"', {}, {"reflect_diffuse": 0.4}),
        ('model="1" finish="3" type="0" value="0"', {"SPECULARSPIKECONSTANT": "spike", "SPECULARLOBECONSTANT": "lobe"},
         {"reflect_specular": 0.2, "reflect_diffuse": 0.2}),
        (METAL, {"SPECULARLOBECONSTANT": "lobe"}, {"reflect_specular": 0.4}),
        ('model="1" finish="polishedfrontpainted" type="1" value="1"', {}, {"reflect_specular": 0.4}),
        ('model="unified" finish="groundfrontpainted" type="1" value="1"', {}, {"reflect_diffuse": 0.4}),
        ('model="unified" finish="0" type="dielectric_dielectric" value="1"', {}, {}),
    ],
)  # fmt: skip
def test_a_surface_absorbs_detects_and_reflects(
    convert: Convert, report: ImportReport, attributes: str, extra: dict[str, str], expected: dict[str, float]
) -> None:
    entry = _surface(convert, attributes, {"REFLECTIVITY": "r", "EFFICIENCY": "e"} | extra, R4 + E3 + SPIKE)
    assert entry == pytest.approx({"absorb": 0.45, "detect": 0.15} | expected)
    assert not report.not_representable


def test_a_polished_dielectric_that_reflects_all_is_no_surface(convert: Convert) -> None:
    assert _surface(convert, 'model="0" finish="0" type="1" value="1"', {}) is None


@pytest.mark.parametrize("behind", ["steel", "glass"])
def test_a_ground_metal_of_glisur_is_specular_and_told(convert: Convert, report: ImportReport, behind: str) -> None:
    entry = _surface(convert, 'model="0" finish="3" type="0" value="0.8"', {"REFLECTIVITY": "r"}, R4, behind=behind)
    assert entry == pytest.approx({"absorb": 0.6, "reflect_specular": 0.4})
    assert any("polish 0.8" in one for one in report.not_representable)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ('model="LUT" finish="30" type="3" value="0"', "type dielectric_LUTDAVIS"),
        ('model="2" finish="10" type="dielectric_LUT" value="0"', "type dielectric_LUT"),
        ('model="unified" finish="groundbackpainted" type="1" value="1"', "finish groundbackpainted"),
        ('model="unified" finish="polished" type="x_ray" value="1"', "type x_ray"),
        ('model="unified" finish="polished" type="7" value="1"', "type coated"),
    ],
)
@pytest.mark.parametrize("behind", ["glass", "steel"])
def test_a_surface_without_counterpart_is_told_and_left_out(
    convert: Convert, report: ImportReport, attributes: str, told: str, behind: str
) -> None:
    entry = _surface(convert, attributes, {"REFLECTIVITY": "r"}, R4, behind=behind)
    assert entry == (None if behind == "glass" else {"absorb": 1})
    assert any(one.startswith("optical surface 'tried'") and told in one for one in report.not_representable)


@pytest.mark.parametrize(
    ("attributes", "properties", "told"),
    [
        ('model="unified" finish="ground" type="1" value="1"', {"REFLECTIVITY": "r"}, "ground dielectric"),
        (METAL, {"TRANSMITTANCE": "e"}, "TRANSMITTANCE above 0"),
        ('model="1" finish="3" type="0" value="0"', {"BACKSCATTERCONSTANT": "e"}, "BACKSCATTERCONSTANT"),
    ],
)
def test_what_a_surface_loses_is_told(
    convert: Convert, report: ImportReport, attributes: str, properties: dict[str, str], told: str
) -> None:
    _surface(convert, attributes, properties, R4 + E3)
    assert any(told in one for one in report.not_representable)


def test_a_photocathode_of_rat_is_a_thin_film(convert: Convert) -> None:
    properties = {"RINDEX": "n", "KINDEX": "k", "THICKNESS": "d", "EFFICIENCY": "e"}
    define = (
        _matrix("n", [2.7] * 4)
        + _matrix("k", [1.5] * 4)
        + E3
        + '<matrix name="d" coldim="2" values="0 2.6e-05 188 2.6e-05"/>'
    )
    assert _surface(convert, METAL, properties, define) == {
        "model": "thin_film", "eta": 2.7, "k": 1.5, "thickness_nm": pytest.approx(26), "efficiency": 0.25,
    }  # fmt: skip


def test_a_metal_with_a_complex_index_is_a_thick_film(convert: Convert) -> None:
    entry = _surface(
        convert, METAL, {"REALRINDEX": "n", "IMAGINARYRINDEX": "k"}, _matrix("n", [1.4] * 4) + _matrix("k", [7] * 4)
    )
    assert entry == {
        "model": "thin_film", "eta": 1.4, "k": 7, "thickness_nm": 10_000, "efficiency": 0, "scale_efficiency": False,
    }  # fmt: skip


def test_a_film_without_thickness_is_refused(convert: Convert) -> None:
    with pytest.raises(DetectorImportError, match="needs THICKNESS"):
        _surface(convert, METAL, {"RINDEX": "n", "KINDEX": "n"}, _matrix("n", [1] * 4))


def test_a_dichroic_filter_transmits_percent_by_angle(convert: Convert) -> None:
    data = """<dichroic_data x_length="2" y_length="3"><x values="400 500"/><y values="0 45 90"/>
    <data values="10 20 30 40 50 60"/></dichroic_data>"""
    entry = _surface(convert, 'model="4" finish="0" type="4" value="1"', {}, content=data)
    assert entry is not None
    assert entry["angles"] == [0, 45, 90]
    assert entry["transmit"][1] == {"wavelength": [400, 500], "value": [0.2, 0.5]}
    assert entry["reflect"][1] == {"wavelength": [400, 500], "value": [0.8, 0.5]}


def test_a_polished_dielectric_upon_steel_absorbs_what_would_go_on(convert: Convert) -> None:
    entry = _surface(
        convert,
        'model="0" finish="0" type="1" value="1"',
        {"REFLECTIVITY": "r", "EFFICIENCY": "e"},
        R4 + E3,
        behind="steel",
    )
    assert entry == pytest.approx({"absorb": 0.85, "detect": 0.15})


def test_efficiency_is_scaled_and_never_exceeds_one(convert: Convert) -> None:
    for scale, detect in ((2.0, 0.3), (10.0, 0.6)):
        entry = _surface(convert, METAL, {"REFLECTIVITY": "r", "EFFICIENCY": "e"}, R4 + E3, efficiency_scale=scale)
        assert entry is not None
        assert entry["detect"] == pytest.approx(detect)


TWO = """<opticalsurface name="red" type="0"><property name="REFLECTIVITY" ref="r"/></opticalsurface>
<opticalsurface name="blue" type="0"/>"""


def _skin(of: str, surface: str) -> str:
    return f'<skinsurface name="skin_{of}" surfaceproperty="{surface}"><volumeref ref="{of}"/></skinsurface>'


@pytest.mark.parametrize(
    ("surfaces", "expected", "is_told"),
    [
        (_skin("mother", "red"), "red", False),
        (_skin("mother", "red") + _skin("daughter", "blue"), "blue", False),
        (_skin("daughter", "blue") + bordered("s", "red", "mother", "daughter"), "red", False),
        (_skin("daughter", "blue") + bordered("s", "red", "daughter", "mother"), "red", False),
        (bordered("s", "red", "daughter", "mother") + bordered("t", "blue", "mother", "daughter"), "blue", True),
        (bordered("s", "red", "daughter", "mother") + bordered("t", "red", "mother", "daughter"), "red", False),
    ],
)
def test_a_border_goes_before_a_skin_and_a_daughter_before_her_mother(
    convert: Convert, report: ImportReport, surfaces: str, expected: str, is_told: bool
) -> None:
    structure = (
        volume("daughter", "glass", "c") + volume("mother", "air", "b", placed("daughter", "daughter"))
        + volume("world", "water", "w", placed("mother", "mother")) + surfaces
    )  # fmt: skip
    geometry = convert(gdml_text(solids=SOLIDS + TWO, structure=structure, define=R4))
    inner = next(one for one in geometry["solids"] if one["inner"] == "glass")
    assert inner["surface"] == expected
    assert any("different surfaces by direction" in one for one in report.not_representable) == is_told


def test_only_the_way_to_an_opaque_medium_matters(convert: Convert, report: ImportReport) -> None:
    structure = (
        volume("daughter", "steel", "c") + volume("mother", "air", "b", placed("daughter", "daughter"))
        + volume("world", "water", "w", placed("mother", "mother"))
        + bordered("s", "red", "daughter", "mother") + bordered("t", "blue", "mother", "daughter")
    )  # fmt: skip
    geometry = convert(gdml_text(solids=SOLIDS + TWO, structure=structure, define=R4))
    assert next(one for one in geometry["solids"] if one["inner"] == "steel")["surface"] == "blue"
    assert not report.not_representable
