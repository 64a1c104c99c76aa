"""XML that is hostile, or made of several files."""

from pathlib import Path

import pytest

from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.gdml.xml_tree import MAX_DEPTH, read_xml


def _write(folder: Path, text: str, name: str = "a.gdml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_node_knows_its_line(tmp_path: Path) -> None:
    root = read_xml(_write(tmp_path, "<gdml>\n<define>\n <constant name='a'/></define></gdml>"))
    assert root.children[0].children[0].place == "a.gdml, line 3"


def test_entities_that_grow_are_refused(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    path = _write(tmp_path, f'<!DOCTYPE gdml [<!ENTITY l0 "lol">{laughs}]><gdml>&l9;</gdml>')
    with pytest.raises(DetectorImportError, match="defines the entity 'l0'"):
        read_xml(path)


def test_parameter_entities_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, '<!DOCTYPE gdml [<!ENTITY % all SYSTEM "a.dtd"> %all;]><gdml/>')
    with pytest.raises(DetectorImportError, match="defines the entity 'all'"):
        read_xml(path)


def test_a_file_may_include_another_one_of_its_folder(tmp_path: Path) -> None:
    _write(tmp_path, "<materials/>", "materials.xml")
    path = _write(tmp_path, '<!DOCTYPE gdml [<!ENTITY m SYSTEM "materials.xml">]><gdml>&m;<solids/></gdml>')
    root = read_xml(path)
    assert [child.tag for child in root.children] == ["materials", "solids"]
    assert [child.file.name for child in root.children] == ["materials.xml", "a.gdml"]


@pytest.mark.parametrize("target", ["../secret.xml", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/x.xml"])
def test_nothing_outside_of_the_folder_is_included(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "detector"
    folder.mkdir()
    _write(tmp_path, "<materials/>", "secret.xml")
    path = _write(folder, f'<!DOCTYPE gdml [<!ENTITY m SYSTEM "{target}">]><gdml>&m;</gdml>')
    with pytest.raises((DetectorImportError, FileNotFoundError)):
        read_xml(path)


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, '<!DOCTYPE gdml [<!ENTITY m SYSTEM "a.gdml">]><gdml>&m;</gdml>')
    with pytest.raises(DetectorImportError, match="within itself"):
        read_xml(path)


def test_elements_within_each_other_have_an_end(tmp_path: Path) -> None:
    path = _write(tmp_path, "<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1))
    with pytest.raises(DetectorImportError, match="within each other"):
        read_xml(path)


@pytest.mark.parametrize(
    "text",
    ["", "no xml", "<gdml>", "<gdml></gdm>", "\0", "<gdml a=1/>", "<?xml version='1.0' encoding='none'?><gdml/>"],
)
def test_what_is_not_xml_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(DetectorImportError, match=r"a\.gdml, line 1: not XML"):
        read_xml(_write(tmp_path, text))
