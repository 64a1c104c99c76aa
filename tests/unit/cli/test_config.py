import json
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main

EIGER = {
    "detector_name": "det",
    "detector_type": "eiger",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 256,
    "image_pixel_width": 514,
    "start_udp_port": 50000,
    "module_positions": {},
}


def config_file(tmp_path: Path, **changes: object) -> str:
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(EIGER | changes))
    return str(path)


def test_right_configuration_is_summarised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", config_file(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "514 x 256 uint16" in output
    assert "is valid" in output


def test_a_check_tells_what_is_expected_of_the_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config_file(tmp_path, bit_depth=12, detector={"tengiga": False, "readnrows": 64}, udp={"numdst": 4})
    assert main(["config", "check", file]) == 0
    output = capsys.readouterr().out
    assert "48 a frame, of up to 1072 bytes; one frame in 4 comes to this server" in output


def test_wrong_key_is_told_with_file_and_nearest_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config_file(tmp_path, n_moduls=1)
    assert main(["config", "check", file]) == 2
    error = capsys.readouterr().err
    assert file in error
    assert "did you mean 'n_modules'" in error


def test_what_only_the_detector_finds_wrong_names_the_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config_file(tmp_path, bit_depth=24)
    assert main(["config", "check", file]) == 2
    assert f"{file}: key 'bit_depth'" in capsys.readouterr().err
    assert main(["config", "check", "--json", file]) == 2
    document = json.loads(capsys.readouterr().out)
    assert not document["is_valid"]
    assert document["key"] == "bit_depth"
    assert document["value"] == 24


def test_import_prints_the_draft_and_tells_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run1.config"
    file.write_text("hostname beb1+beb2\nhighvoltage 150\n")
    assert main(["config", "import", str(file)]) == 0
    output = capsys.readouterr()
    draft = tmp_path / "detector.json"
    draft.write_text(output.out)
    assert json.loads(output.out)["detector_name"] == "run1"
    assert "highvoltage" in output.err
    assert main(["config", "check", str(draft)]) == 0


def test_import_of_nothing_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "import", str(tmp_path / "no.config")]) == 2
    assert "no.config" in capsys.readouterr().err
