"""Geometry files: what is wrong in them is told with file, key, value and remedy."""

import copy
import json

import numpy as np
import pytest

from std_daq.errors import ConfigError
from std_daq.photons.detector import PhotonDetector
from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.load import check_geometry, read_geometry

EXAMPLE = {
    "format": "std-sim-geometry",
    "version": 1,
    "physics": {"velocity": "group", "max_steps": 1000},
    "materials": {
        "water": {
            "refractive_index": {"wavelength": [300, 400, 500, 600], "value": [1.359, 1.344, 1.337, 1.333]},
            "absorption_length": 100000,
            "scattering_length": 80000,
            "reemission": [
                {
                    "absorption_length": 1000,
                    "probability": 0.5,
                    "spectrum": {"wavelength": [400, 500], "value": [1, 1]},
                    "decay_times": [[2.0, 1]],
                }
            ],
        },
        "vacuum": {},
    },
    "surfaces": {
        "black": {"absorb": 1},
        "photocathode": {"detect": 0.2, "absorb": 0.8},
        "film": {"model": "thin_film", "eta": 2, "k": 1, "thickness_nm": 20},
        "shifter": {"model": "wls", "absorb": 0.5, "spectrum": {"wavelength": [400, 500], "value": [1, 1]}},
        "filter": {"model": "dichroic", "angles": [0, 40], "reflect": [0.1, 0.2], "transmit": [0.5, 0.6]},
    },
    "solids": [
        {
            "shape": "cylinder",
            "radius": 2000,
            "height": 4000,
            "inner": "water",
            "outer": "vacuum",
            "surface": "black",
            "faces": {"top": {"surface": "film"}},
        },
        {"shape": "revolved", "profile": [[0, -1], [2, 0], [0, 1]], "inner": "vacuum", "outer": "water"},
        {
            "shape": "mesh",
            "vertices": [[0, 0, 9], [1, 0, 9], [0, 1, 9]],
            "triangles": [[0, 1, 2]],
            "inner": "water",
            "outer": "water",
        },
    ],
    "parts": {"pmt": [{"shape": "sphere", "radius": 100, "inner": "vacuum", "outer": "water"}]},
    "arrays": [
        {
            "part": "pmt",
            "positions": [[1850, 0, 0], [-1850, 0, 0]],
            "directions": [[-1, 0, 0], [1, 0, 0]],
            "first_channel": 0,
        }
    ],
}


def changed(path, value):
    """The example with another value at a path; `...` takes the key away."""
    document = copy.deepcopy(EXAMPLE)
    here = document
    for name in path[:-1]:
        here = here[name]
    if value is ...:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return document


NAN = float("nan")
WATER = ("materials", "water")
WRONG = [
    (("format",), "other", "format", "std-sim-geometry"),
    (("version",), 2, "version", "1"),
    (("version",), ..., "version", "missing"),
    (("materials",), ..., "materials", "missing"),
    (("geometry",), 1, "geometry", "known keys here: arrays, format"),
    (("solid",), [], "solid", "did you mean 'solids'?"),
    (("physics", "velocity"), "fast", "physics.velocity", "'group' or 'phase'"),
    (("physics", "max_steps"), 0, "physics.max_steps", "greater than or equal to 1"),
    (("physics", "max_step"), 9, "physics.max_step", "did you mean 'max_steps'?"),
    ((*WATER, "absorbtion_length"), 1, "materials.water.absorbtion_length", "did you mean 'absorption_length'?"),
    ((*WATER, "absorption_length"), 0, "materials.water", "more than 0 mm"),
    ((*WATER, "absorption_length"), "long", "materials.water.absorption_length", "must be a number"),
    ((*WATER, "absorption_length"), True, "materials.water.absorption_length", "must be a number"),
    ((*WATER, "absorption_length"), NAN, "materials.water.absorption_length.value.0", "finite"),
    ((*WATER, "refractive_index"), -1, "materials.water", "more than 0"),
    ((*WATER, "refractive_index", "value"), [1, 2], "materials.water.refractive_index", "4 wavelengths and 2 values"),
    ((*WATER, "refractive_index", "wavelength"), [1, 3, 2, 4], "materials.water.refractive_index", "do not rise"),
    ((*WATER, "refractive_index", "wavelength"), [1, 2, 2, 4], "materials.water.refractive_index", "do not rise"),
    ((*WATER, "refractive_index", "wavelengths"), [1], "materials.water.refractive_index.wavelengths", "did you mean"),
    ((*WATER, "refractive_index", "value"), [1, 1, 1, 9], "materials.water", "group index"),
    ((*WATER, "reemission", 0, "probability"), 1.5, "materials.water.reemission.0", "between 0 and 1"),
    ((*WATER, "reemission", 0, "spectrum"), ..., "materials.water.reemission.0.spectrum", "missing"),
    ((*WATER, "reemission", 0, "spectrum", "value"), [0, 0], "materials.water.reemission.0.spectrum", "positive"),
    ((*WATER, "reemission", 0, "spectrum", "value"), [1, -1], "materials.water.reemission.0.spectrum", "negative"),
    ((*WATER, "reemission", 0, "decay_times"), [[0, 1]], "materials.water.reemission.0.decay_times.0.0", "than 0"),
    ((*WATER, "reemission", 0, "rise_time"), -1, "materials.water.reemission.0.rise_time", "to 0"),
    (("surfaces", "black", "detect"), 0.5, "surfaces.black", "are 1.5 together at 400 nm"),
    (("surfaces", "black", "absorb"), -1, "surfaces.black", "between 0 and 1"),
    (("surfaces", "black", "reflect"), 0, "surfaces.black.reflect", "did you mean 'reflect_"),
    (("surfaces", "black", "model"), "mirror", "surfaces.black.model", "default, thin_film, wls, dichroic"),
    (("surfaces", "black"), 7, "surfaces.black", "dictionary"),
    (("surfaces", "film", "thickness"), 7, "surfaces.film.thickness", "did you mean 'thickness_nm'?"),
    (("surfaces", "film", "k"), -1, "surfaces.film", "0 or more"),
    (("surfaces", "film", "transmissive"), 1, "surfaces.film.transmissive", "boolean"),
    (("surfaces", "shifter", "reflect_diffuse"), 0.6, "surfaces.shifter", "1.1 together"),
    (("surfaces", "filter", "angles"), [40, 0], "surfaces.filter", "angles do not rise"),
    (("surfaces", "filter", "angles"), [0, 100], "surfaces.filter.angles.1", "less than or equal to 90"),
    (("surfaces", "filter", "transmit"), [0.1], "surfaces.filter", "1 tables for 2 angles"),
    (("surfaces", "filter", "transmit"), [0.95, 0.1], "surfaces.filter", "1.05 together at 0"),
    (("solids", 0, "radus"), 1, "solids.0.radus", "did you mean 'radius'?"),
    (("solids", 0, "radius"), ..., "solids.0.radius", "missing"),
    (("solids", 0, "radius"), 0, "solids.0.radius", "greater than 0"),
    (("solids", 0, "radius"), "2000", "solids.0.radius", "number"),
    (("solids", 0, "shape"), ..., "solids.0.shape", "one of: sphere, cylinder"),
    (("solids", 0, "shape"), "ball", "solids.0.shape", "one of: sphere, cylinder"),
    (("solids", 0), 3, "solids.0", "dictionary"),
    (("solids", 0, "inner"), ..., "solids.0.inner", "missing"),
    (("solids", 0, "inner"), "watr", "solids.0.inner", "did you mean 'water'?"),
    (("solids", 0, "surface"), "grey", "solids.0.surface", "there is no such surface"),
    (("solids", 0, "faces", "side"), {"surface": "grey"}, "solids.0.faces.side.surface", "there is no such surface"),
    (("solids", 0, "faces", "left"), {}, "solids.0", "side, top, bottom"),
    (("solids", 0, "faces", "top", "chanel"), 1, "solids.0.faces.top.chanel", "did you mean 'channel'?"),
    (("solids", 0, "position"), [1, 2], "solids.0.position", "[x, y, z]"),
    (("solids", 0, "position"), [1, 2, "3"], "solids.0.position", "[x, y, z]"),
    (("solids", 0, "position"), [1, 2, NAN], "solids.0.position", "not finite"),
    (("solids", 0, "direction"), [0, 0, 0], "solids.0", "[0, 0, 0]"),
    (("solids", 0, "rotation"), [[1, 0, 0], [0, 1, 0], [0, 0, -1]], "solids.0.rotation", "not a rotation"),
    (("solids", 0, "rotation"), [[2, 0, 0], [0, 1, 0], [0, 0, 1]], "solids.0.rotation", "not a rotation"),
    (("solids", 0, "channel"), -1, "solids.0.channel", "to 0"),
    (("solids", 0, "channel"), 1.5, "solids.0.channel", "integer"),
    (("solids", 0, "channel"), 1, "arrays.0.first_channel", "given already, by solids.0.channel"),
    (("solids", 0, "channel"), 5, "solids.0.channel", "but not channel 2"),
    (("solids", 1, "profile"), [[0, 1]], "solids.1", "two points"),
    (("solids", 1, "profile"), [[0, 1], [-1, 2]], "solids.1", "no radius is negative"),
    (("solids", 1, "profile"), [[0, 1], [0, 2], [1, 3]], "solids.1", "along the axis"),
    (("solids", 1, "profile"), [[0, 1], [1, 2], [1, 2]], "solids.1", "same point twice"),
    (("solids", 1, "profile"), [[0, 1, 2]], "solids.1.profile", "pairs"),
    (("solids", 1, "segments"), 2, "solids.1.segments", "to 3"),
    (("solids", 2, "triangles"), [[0, 1, 3]], "solids.2", "names vertex 3; the vertices are 0 to 2"),
    (("solids", 2, "triangles"), [[0, 1]], "solids.2.triangles", "three indices"),
    (("solids", 2, "triangles"), [[0, 1, 0.5]], "solids.2.triangles", "three indices"),
    (("solids", 2, "triangles"), ..., "solids.2", "together"),
    (("solids", 2, "file"), "x.stl", "solids.2", "either a file"),
    (("parts", "pmt", 0, "channel"), 3, "parts.pmt.0.channel", "no channel of its own"),
    (("parts", "pmt", 0, "outer"), "air", "parts.pmt.0.outer", "there is no such material"),
    (("parts", "pmt", 0, "radios"), 1, "parts.pmt.0.radios", "did you mean 'radius'?"),
    (("arrays", 0, "part"), "pmtt", "arrays.0.part", "did you mean 'pmt'?"),
    (("arrays", 0, "positions"), [[0, 0]], "arrays.0.positions", "[x, y, z]"),
    (("arrays", 0, "positions"), [[0, 0, 0], [1, 2]], "arrays.0.positions", "not of one length"),
    (("arrays", 0, "directions"), [[0, 0, 1]], "arrays.0", "1 entries for 2 positions"),
    (("arrays", 0, "rotations"), [[[1, 0, 0], [0, 1, 0], [0, 0, 1]]] * 2, "arrays.0", "both given"),
    (("arrays", 0, "channel_types"), [1], "arrays.0", "1 entries for 2 positions"),
    (("arrays", 0, "first_channel"), 1, "arrays.0.first_channel", "but not channel 0"),
    (("arrays", 0, "direction"), [], "arrays.0.direction", "did you mean 'directions'?"),
]


def test_the_example_of_the_format_is_read():
    geometry = check_geometry(copy.deepcopy(EXAMPLE))
    assert list(geometry.materials) == ["water", "vacuum"]
    assert len(PhotonDetector.of(EXAMPLE).channels.types) == 2


@pytest.mark.parametrize(
    ("path", "value", "key", "words"), WRONG, ids=[f"{'.'.join(map(str, p))}-{i}" for i, (p, *_) in enumerate(WRONG)]
)
def test_what_is_wrong_is_told_with_file_key_and_remedy(path, value, key, words):
    with pytest.raises(ConfigError) as raised:
        check_geometry(changed(path, value), "tank.json")
    assert raised.value.key == key
    assert raised.value.file == "tank.json"
    assert words in str(raised.value)


def test_json_and_yaml_give_the_same_detector(tmp_path):
    import yaml

    (tmp_path / "tank.json").write_text(json.dumps(EXAMPLE))
    (tmp_path / "tank.yaml").write_text(yaml.safe_dump(EXAMPLE, sort_keys=False))
    assert repr(read_geometry(tmp_path / "tank.json")) == repr(read_geometry(tmp_path / "tank.yaml"))


def test_yaml_reads_numbers_as_json_does(tmp_path):
    text = yaml_of(absorption="1e5")
    (tmp_path / "tank.yml").write_text(text)
    table = read_geometry(tmp_path / "tank.yml").materials["water"].absorption_length
    assert table is not None
    assert table.value == [1e5]


def yaml_of(absorption):
    return f"format: std-sim-geometry\nversion: 1\nmaterials:\n  water:\n    absorption_length: {absorption}\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[]", "not an object"),
        ("a.json", '{"format": 1, "format": 2}', "given twice"),
        ("a.yaml", "a: [", "is not YAML"),
        ("a.yaml", "- a", "not a mapping"),
        ("a.yaml", "a: 1\na: 2", "given twice"),
        ("a.yaml", "a: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("a.yaml", "", "not a mapping"),
    ],
)
def test_a_file_that_is_no_geometry_is_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_geometry(tmp_path / name)


@pytest.mark.parametrize("name", ["missing.json", "missing.yaml"])
def test_a_file_that_is_not_there_is_told(tmp_path, name):
    with pytest.raises(ConfigError, match="no such file"):
        read_geometry(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("ball.stl", None, "no such mesh"),
        ("ball.obj", b"nothing", "no triangles"),
        ("ball.ply", b"\x00\xff", "no mesh that can be read"),
        ("ball.step", b"x", ".stl, .obj or .ply"),
    ],
)
def test_a_mesh_file_that_cannot_be_read_is_told(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    solid = {"shape": "mesh", "file": name, "inner": "water", "outer": "vacuum"}
    (tmp_path / "tank.json").write_text(json.dumps(changed(("solids", 2), solid)))
    with pytest.raises(ConfigError, match=words) as raised:
        PhotonDetector.load(tmp_path / "tank.json")
    assert raised.value.key in {"solids.2", "solids.2.file"}


def test_the_group_index_is_taken_by_differences_at_the_points():
    table = check_geometry(copy.deepcopy(EXAMPLE)).materials["water"].group_index_table()
    n, w = [1.359, 1.344, 1.337, 1.333], [300, 400, 500, 600]
    slopes = [(n[1] - n[0]) / 100, (n[2] - n[0]) / 200, (n[3] - n[1]) / 200, (n[3] - n[2]) / 100]
    np.testing.assert_allclose(table.value, np.array(n) - np.array(w) * slopes, rtol=1e-12)


def test_defaults_are_those_of_the_format():
    geometry = check_geometry(
        {
            "format": "std-sim-geometry",
            "version": 1,
            "materials": {"a": {}},
            "solids": [{"shape": "revolved", "profile": [[0, 0], [1, 1]], "inner": "a", "outer": "a"}],
        }
    )
    assert (geometry.physics.velocity, geometry.physics.max_steps) == ("group", 1000)
    assert geometry.solids[0].segments == 32
    assert geometry.materials["a"].refractive_index.value == [1]


def test_the_schema_of_the_format_can_be_written():
    schema = GeometryFile.model_json_schema()
    assert schema["properties"]["version"]["const"] == 1
