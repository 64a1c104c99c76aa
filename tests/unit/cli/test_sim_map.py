"""`std-sim map`: wrong calls say what is wrong, and leave no file."""

from pathlib import Path

import pytest

from std_daq.cli.sim import main
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_tank import write_tank


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--voxel-mm"),
        (["--voxel-mm", "0"], "--voxel-mm: 0 is not a finite number greater than 0"),
        (["--voxel-mm", "1000", "--photons", "0"], "--photons: '0' is not a whole number from 1"),
        (["--voxel-mm", "1000", "--photons", "4294967296"], "--photons: 4294967296 is more than 4294967295"),
        (["--voxel-mm", "1000", "--seed", "-1"], "--seed: -1 is not from 0"),
        (["--voxel-mm", "1000", "--wavelength", "400", "--spectrum", "water"], "not allowed with argument"),
        (["--voxel-mm", "1000", "--spectrum", "water"], "--spectrum: the geometry has no such spectrum"),
        (["--voxel-mm", "1000", "--region", "0", "0", "0", "1", "1", "-1"], "--region: the upper corner"),
        (["--voxel-mm", "1000", "--router", "nowhere"], "--router: this is no address"),
    ],
)
def test_wrong_call_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    try:
        code = main(["map", str(write_tank(tmp_path)), "--output", str(tmp_path / "map.h5"), *arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    assert told in error
    assert not (tmp_path / "map.h5").exists()


def test_missing_geometry_and_folder_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", str(tmp_path / "none.json"), "--output", str(tmp_path / "m.h5"), "--voxel-mm", "1"]) == 2
    assert "none.json: there is no such file" in capsys.readouterr().err
    tank = str(write_tank(tmp_path))
    assert main(["map", tank, "--output", str(tmp_path / "none" / "m.h5"), "--voxel-mm", "1"]) == 2
    assert "--output: there is no folder" in capsys.readouterr().err


def test_farm_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("std_daq.photons.sim_client.SimClient.detector_info.__defaults__", (0.05,))
    router = f"tcp://127.0.0.1:{free_tcp_port()}"
    call = ["map", str(write_tank(tmp_path)), "--output", str(tmp_path / "m.h5"), "--voxel-mm", "1000"]
    assert main([*call, "--router", router]) == 1
    assert "does not answer DETECTOR_INFO" in capsys.readouterr().err
