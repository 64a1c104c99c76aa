"""The tree of volumes: placements, loops, replicas, divisions, parameters, assemblies, files."""

from pathlib import Path

import numpy as np
import pytest

from std_daq.photons.importing.detector import VolumeTree
from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.gdml.reader import read_gdml
from std_daq.photons.importing.report import ImportReport
from std_daq.photons.importing.sensors import count_placements
from std_test_kit.gdml import gdml_text, placed, volume, write_gdml

SOLIDS = """<box name="w" x="100" y="100" z="100"/><box name="s" x="1" y="1" z="1"/><box name="row" x="10" y="1" z="1"/>
<tube name="pie" rmax="5" z="1" startphi="0" deltaphi="90" aunit="deg"/>
<tube name="cake" rmax="5" z="1" deltaphi="360" aunit="deg"/>"""


def _read(folder: Path, structure: str, define: str = "") -> VolumeTree:
    text = gdml_text(solids=SOLIDS, structure=structure, define=define)
    return read_gdml(write_gdml(folder, text), ImportReport())


def _world(content: str, before: str = "") -> str:
    return volume("s", "glass", "s") + before + volume("world", "water", "w", content)


def _positions(detector: VolumeTree) -> list[list[float]]:
    return [np.round(one.transform.position, 9).tolist() for one in detector.world.placements]


def test_a_placement_turns_the_other_way_than_its_angles(tmp_path: Path) -> None:
    """y = 90 degrees turns a placement's +z to -x: Geant4 applies the inverse."""
    detector = _read(tmp_path, _world(placed("p", "s", at='x="1" unit="cm"', turned='y="90" unit="deg"')))
    transform = detector.world.placements[0].transform
    np.testing.assert_allclose(transform.rotation @ [0, 0, 1], [-1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(transform.position, [10, 0, 0])


def test_angles_are_applied_about_x_then_y_then_z(tmp_path: Path) -> None:
    detector = _read(tmp_path, _world(placed("p", "s", turned='x="90" y="90" z="0" unit="deg"')))
    # Rx: z -> -y; Ry leaves it; the inverse of all turns -y to z.
    np.testing.assert_allclose(detector.world.placements[0].transform.rotation @ [0, -1, 0], [0, 0, 1], atol=1e-15)


def test_places_and_turns_may_be_defined_elsewhere(tmp_path: Path) -> None:
    define = '<position name="here" y="2" unit="cm"/><rotation name="so" z="180" unit="deg"/>'
    content = '<physvol><volumeref ref="s"/><positionref ref="here"/><rotationref ref="so"/></physvol>'
    placement = _read(tmp_path, _world(content), define).world.placements[0]
    assert placement.transform.position.tolist() == [0, 20, 0]
    np.testing.assert_allclose(placement.transform.rotation, np.diag([-1, -1, 1]), atol=1e-15)
    assert placement.name == "s_PV"


def test_a_loop_includes_its_end(tmp_path: Path) -> None:
    define = '<variable name="i" value="0"/>'
    inner = placed("p[i]", "s", at='x="10*i"', copy_number="i+1")
    detector = _read(tmp_path, _world(f'<loop for="i" from="1" to="3" step="1">{inner}</loop>'), define)
    assert _positions(detector) == [[10, 0, 0], [20, 0, 0], [30, 0, 0]]
    assert [one.name for one in detector.world.placements] == ["p_1", "p_2", "p_3"]
    assert [one.copy_number for one in detector.world.placements] == [2, 3, 4]


def test_loops_stand_in_each_other(tmp_path: Path) -> None:
    define = '<variable name="i" value="0"/><variable name="j" value="0"/>'
    inner = placed("p", "s", at='x="i" y="j"')
    loops = f'<loop for="i" from="0" to="1" step="1"><loop for="j" from="0" to="2" step="2">{inner}</loop></loop>'
    assert _positions(_read(tmp_path, _world(loops), define)) == [[0, 0, 0], [0, 2, 0], [1, 0, 0], [1, 2, 0]]


def test_loops_make_solids_and_volumes(tmp_path: Path) -> None:
    solids = SOLIDS + '<loop for="i" from="1" to="2" step="1"><box name="b[i]" x="i" y="i" z="i"/></loop>'
    structure = f'<loop for="i" from="1" to="2" step="1">{volume("v[i]", "glass", "b[i]")}</loop>' + volume(
        "world", "water", "w", placed("a", "v_1") + placed("b", "v_2", at='x="5"')
    )
    text = gdml_text(solids=solids, structure=structure, define='<variable name="i" value="0"/>')
    detector = read_gdml(write_gdml(tmp_path, text), ImportReport())
    assert [np.ptp(one.volume.solid.facets(8).vertices[:, 0]) for one in detector.world.placements] == [1, 2]


@pytest.mark.parametrize(
    "attributes", ['from="0" to="1" step="0"', 'from="0" to="1e12" step="1"', 'from="0" to="9" step="-1"']
)
def test_a_loop_that_does_not_end_is_refused(tmp_path: Path, attributes: str) -> None:
    define = f'<variable name="i" value="0"/><loop for="i" {attributes}><constant name="c" value="i"/></loop>'
    with pytest.raises(DetectorImportError, match=r"loop.* (does not end|go round)"):
        _read(tmp_path, _world(""), define)


def test_replicas_stand_along_an_axis(tmp_path: Path) -> None:
    replicas = """<replicavol number="4"><volumeref ref="s"/><replicate_along_axis><direction y="1"/>
    <width value="2" unit="cm"/><offset value="0" unit="cm"/></replicate_along_axis></replicavol>"""
    detector = _read(tmp_path, _world(replicas))
    assert _positions(detector) == [[0, -30, 0], [0, -10, 0], [0, 10, 0], [0, 30, 0]]
    assert [one.copy_number for one in detector.world.placements] == [0, 1, 2, 3]


def test_replicas_stand_about_an_axis(tmp_path: Path) -> None:
    replicas = """<replicavol number="4"><volumeref ref="s"/><replicate_along_axis><direction phi="1"/>
    <width value="90" unit="deg"/><offset value="0" unit="deg"/></replicate_along_axis></replicavol>"""
    detector = _read(tmp_path, _world(replicas))
    axes = [one.transform.rotation @ [1, 0, 0] for one in detector.world.placements]
    half = 0.5**0.5
    np.testing.assert_allclose(
        axes, [[half, half, 0], [-half, half, 0], [-half, -half, 0], [half, -half, 0]], atol=1e-15
    )


def test_a_division_fills_its_mother(tmp_path: Path) -> None:
    row = volume(
        "row",
        "air",
        "row",
        '<divisionvol axis="kXAxis" number="5" width="2" unit="mm"><volumeref ref="s"/></divisionvol>',
    )
    detector = _read(tmp_path, _world(placed("row", "row"), row))
    inner = detector.world.placements[0].volume.placements
    assert [one.transform.position[0] for one in inner] == pytest.approx([-4, -2, 0, 2, 4])


def test_a_parameterised_volume_has_a_place_and_a_size_for_each_copy(tmp_path: Path) -> None:
    parameters = "".join(
        f'<parameters number="{i}"><position name="q" z="{10 * i}"/><box_dimensions x="{i}" y="1" z="1"/></parameters>'
        for i in (1, 2)
    )
    content = f"""<paramvol ncopies="2"><volumeref ref="s"/>
    <parameterised_position_size>{parameters}</parameterised_position_size></paramvol>"""
    detector = _read(tmp_path, _world(content))
    assert _positions(detector) == [[0, 0, 10], [0, 0, 20]]
    assert [np.ptp(one.volume.solid.facets(8).vertices[:, 0]) for one in detector.world.placements] == [1, 2]


def test_an_assembly_leaves_its_content_where_it_stands(tmp_path: Path) -> None:
    two = placed("a", "s", at='x="1"') + placed("b", "s", at='x="-1"')
    pair = f'<assembly name="pair">{two}</assembly>'
    pairs = placed("p", "pair", at='y="5"') + placed("q", "pair")
    four = f'<assembly name="four">{pairs}</assembly>'
    detector = _read(tmp_path, _world(placed("all", "four", at='z="7"', turned='z="180" unit="deg"'), pair + four))
    assert _positions(detector) == [[-1, -5, 7], [1, -5, 7], [-1, 0, 7], [1, 0, 7]]


def test_a_volume_may_come_from_another_file(tmp_path: Path) -> None:
    write_gdml(tmp_path, gdml_text(solids=SOLIDS, structure=volume("world", "glass", "s")), "module.gdml")
    content = '<physvol name="m"><file name="module.gdml"/><position name="p" x="3"/></physvol>'
    detector = _read(tmp_path, _world(content))
    assert _positions(detector) == [[3, 0, 0]]
    assert detector.world.placements[0].volume.material.name == "glass"


@pytest.mark.parametrize("name", ["detector.gdml", "../x.gdml", "missing.gdml"])
def test_a_file_that_cannot_be_part_of_the_detector_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DetectorImportError, match=name):
        _read(tmp_path, _world(f'<physvol name="m"><file name="{name}"/></physvol>'))


NOWHERE = '<physvol name="p"><volumeref ref="s"/><positionref ref="n"/></physvol>'
MIRRORED = '<physvol name="p"><volumeref ref="s"/><scale name="m" z="-1"/></physvol>'


def _skin(of: str, surface: str) -> str:
    return f'<skinsurface name="k" surfaceproperty="{surface}"><volumeref ref="{of}"/></skinsurface>'


def _border(first: str, second: str) -> str:
    references = f'<physvolref ref="{first}"/><physvolref ref="{second}"/>'
    return f'<bordersurface name="k" surfaceproperty="mirror">{references}</bordersurface>'


@pytest.mark.parametrize(
    ("structure", "problem"),
    [
        (_world(placed("p", "nothing")), "no volume 'nothing' is defined"),
        (volume("world", "nothing", "w"), "no material 'nothing' is defined"),
        (volume("world", "water", "nothing"), "no solid 'nothing' is defined"),
        (_world(NOWHERE), "no position 'n' is defined"),
        (_world(placed("p", "world")), "volume 'world' stands within itself"),
        (_world(MIRRORED), "scale"),
        (_world(placed("p", "s", at='x="1*"')), "attribute 'x'"),
        (_world("") + _skin("n", "mirror"), "no volume 'n'"),
        (_world("") + _skin("s", "n"), "no optical surface 'n'"),
        (_world("") + _border("a", "b"), "no placements 'a' and 'b'"),
    ],
)
def test_what_is_missing_or_circular_is_refused(tmp_path: Path, structure: str, problem: str) -> None:
    with pytest.raises(DetectorImportError, match=problem):
        _read(tmp_path, structure)


def test_a_circle_of_assemblies_is_refused(tmp_path: Path) -> None:
    circle = f'<assembly name="a">{placed("x", "b")}</assembly><assembly name="b">{placed("y", "a")}</assembly>'
    with pytest.raises(DetectorImportError, match="stands within itself"):
        _read(tmp_path, _world(placed("p", "a"), circle))


def test_volumes_that_multiply_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    levels = volume("v0", "glass", "s") + "".join(
        volume(f"v{i}", "glass", "s", "".join(placed(f"p{k}", f"v{i - 1}") for k in range(10))) for i in range(1, 11)
    )
    detector = _read(tmp_path, _world(placed("p", "v10"), levels))
    with pytest.raises(DetectorImportError, match="11111111111 placements"):
        count_placements(detector.world)


def test_a_file_without_set_up_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DetectorImportError, match="no <setup>"):
        read_gdml(write_gdml(tmp_path, "<gdml/>"), ImportReport())
    with pytest.raises(DetectorImportError, match="the root is <html>"):
        read_gdml(write_gdml(tmp_path, "<html/>"), ImportReport())


def test_pointers_tell_placements_of_one_name_apart(tmp_path: Path) -> None:
    content = placed("pmt0x55d0", "s", at='x="1"') + placed("pmt0x55d1", "s", at='x="2"')
    detector = _read(tmp_path, _world(content) + _border("pmt0x55d1", "pmt0x55d0"))
    assert [one.name for one in detector.world.placements] == ["pmt", "pmt"]
    assert (detector.borders[0].before, detector.borders[0].behind) == tuple(detector.world.placements[::-1])
