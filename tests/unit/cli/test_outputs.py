"""What a command reads is never what it writes, and what another program has made is not replaced."""

import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.errors import EXIT_WRONG_CALL
from std_daq.photons.records import PHOTON
from std_daq.tpc.offline.result_file import is_result, write_result
from std_test_kit.chambers import write_chamber
from std_test_kit.image_files import report_of, write_image_file
from std_test_kit.photon_tank import write_tank

Run = Callable[..., int]
ANALYSE = ["std-daq", "analyse", "run.h5", "--config", "tpc.json", "--workers", "1"]
# Each command, and the file that it would replace.
OWN_INPUTS = [
    ([*ANALYSE, "--output", "run.h5"], "run.h5"),
    ([*ANALYSE, "--output", "link.h5"], "run.h5"),
    (["std-daq", "simulate", "--config", "detector.json", "--n-images", "1", "--ledger", "detector.json"], None),
    (["std-daq", "simulate", "--config", "tpc.json", "--n-events", "1", "--truth", "tpc.json"], None),
    (["std-daq", "grafana", "--config", "detector.json", "--output", "detector.json"], None),
    (["std-daq", "validate", "sound.h5", "--picture", "sound.h5"], None),
    (["std-daq", "view", "--config", "live.json", "--picture", "live.json"], None),
    (["std-daq", "pedestal", "--config", "jf.json", "--overwrite", "--output", "jf.json"], None),
    (["std-sim", "run", "photons.npz", "--output", "photons.npz"], None),
    (["std-sim", "map", "tank.json", "--voxel-mm", "500", "--output", "tank.json"], None),
    (["std-sim", "convert", "tank.gdml", "--output", "tank.gdml"], None),
]
# Files that somebody else has made.
OTHERS = [
    ([*ANALYSE, "--output", "other.h5"], "other.h5", "is no result of an analysis"),
    ([*ANALYSE, "--output", "other.parquet"], "other.parquet", "is no result of an analysis"),
    (["std-sim", "map", "tank.json", "--voxel-mm", "500", "--output", "other.json"], "other.json", "is no map"),
    (["std-daq", "simulate-f9t", "other.json"], "other.json", "a file is there, and no link"),
    (["std-daq", "simulate-f9t", "folder"], "folder", "a folder is there, and no link"),
]


@pytest.fixture
def run(tmp_path: Path, config_file: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with a file for each input."""
    write_chamber(tmp_path, ["127.0.0.1:9"], [(0, 0)])
    write_tank(tmp_path)
    write_image_file(tmp_path / "sound.h5", range(1, 4), report_of(n_requested=3, n_written=3))
    for name in ("run.h5", "other.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_group("events").attrs["version"] = "libattpc_merger:1.0"
    (tmp_path / "link.h5").symlink_to("run.h5")
    (tmp_path / "folder").mkdir()
    photons = {name: np.zeros(1, PHOTON[name]) for name in PHOTON.names or ()}
    np.savez(tmp_path / "photons.npz", event_id=np.zeros(1, np.uint32), **photons)
    for name in ("other.parquet", "other.json", "tank.gdml"):
        (tmp_path / name).write_text("kept")
    document = Path(config_file).read_text()
    for name in ("detector.json", "live.json", "jf.json"):
        (tmp_path / name).write_text(document)
    monkeypatch.chdir(tmp_path)

    def run_command(program: str, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        (script,) = entry_points(group="console_scripts", name=program)
        try:
            return int(script.load()())
        except SystemExit as ended:
            return int(ended.code or 0)

    return run_command


@pytest.mark.parametrize(("command", "replaced"), OWN_INPUTS, ids=[" ".join(row[0]) for row in OWN_INPUTS])
def test_input_is_not_replaced_by_the_output(
    run: Run, command: list[str], replaced: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(replaced or command[-1])
    before = file.read_bytes()
    assert run(*command) == EXIT_WRONG_CALL
    assert f"this is the input {file}, which the result would replace" in capsys.readouterr().err
    assert file.read_bytes() == before


@pytest.mark.parametrize(("command", "name", "words"), OTHERS, ids=[" ".join(row[0]) for row in OTHERS])
def test_file_of_another_program_is_kept(
    run: Run, command: list[str], name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(name)
    before = file.read_bytes() if file.is_file() else None
    assert run(*command) == EXIT_WRONG_CALL
    assert words in capsys.readouterr().err
    assert file.is_dir() if before is None else file.read_bytes() == before


@pytest.mark.parametrize("name", ["result.h5", "result.parquet"])
def test_result_of_an_analysis_is_told_from_other_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert is_result(path)
    path.write_text("another file")
    assert not is_result(path)
    write_result(path, [], {"parameters": "{}", "versions": "{}", "source": "run.h5"})
    assert is_result(path)
