"""What a command reads is never what it writes, and what another program has made is not replaced."""

import sys
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.cli.path_checks import check_output_file
from std_daq.config.system import load_any_config
from std_daq.config.up_lock import UpLock
from std_daq.errors import EXIT_WRONG_CALL, ArgumentError
from std_daq.photons.records import PHOTON
from std_daq.tpc.offline.result_file import is_result, write_result
from std_test_kit.chambers import write_chamber
from std_test_kit.image_files import report_of, write_image_file
from std_test_kit.photon_tank import write_tank
from std_test_kit.plain_user import run_as_plain_user

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
LIVE = ["std-daq", "live", "--host", "unix:/nonexistent", "--plot-view"]
# Each command whose file has an ending of its own.
ENDINGS = [
    ([*LIVE, "--png", "x.txt"], ".png"),
    (["std-daq", "view", "--address", "tcp://127.0.0.1:9", "--picture", "x.jpg"], ".png"),
    (["std-daq", "validate", "sound.h5", "--picture", "x.jpg"], ".png"),
    ([*ANALYSE, "--output", "x.csv"], ".h5, .hdf5 or .parquet"),
    (["std-sim", "run", "photons.npz", "--output", "x.h5"], ".npz"),
    (["std-sim", "display", "tank.json", "--output", "x.jpg"], ".png, .html or .rrd"),
]
# Commands that make their file beside its place, and rename it.
MADE_BESIDE = [
    ["std-daq", "validate", "sound.h5", "--picture", "null.png"],
    ["std-daq", "pedestal", "--config", "jf.json", "--overwrite", "--output", "null.h5"],
    ["std-sim", "convert", "tank.gdml", "--output", "null.json"],
    ["std-sim", "display", "tank.json", "--output", "null.rrd"],
    ["std-sim", "map", "tank.json", "--voxel-mm", "500", "--output", "null.h5"],
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


@pytest.mark.parametrize(("command", "ending"), ENDINGS, ids=[" ".join(row[0]) for row in ENDINGS])
def test_ending_that_is_none_of_the_command_is_refused_before_the_work(
    run: Run, command: list[str], ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command) == EXIT_WRONG_CALL
    assert f"the ending of a name says what the file is (got '{command[-1]}'); end it in {ending}" in (
        capsys.readouterr().err
    )


def test_each_of_two_pictures_is_looked_at_before_a_host_is_asked(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("now-phdist.png").mkdir()
    assert run(*LIVE, "--plot-phdist", "--png", "now.png") == EXIT_WRONG_CALL
    assert "argument --png: this is a folder (got 'now-phdist.png')" in capsys.readouterr().err


def test_nowhere_to_show_a_picture_is_told_before_a_host_is_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert run(*LIVE) == EXIT_WRONG_CALL
    assert "there is no display" in capsys.readouterr().err


@pytest.mark.parametrize("command", MADE_BESIDE, ids=" ".join)
def test_device_is_not_replaced_by_a_file(run: Run, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    link = Path(command[-1])
    link.symlink_to("/dev/null")
    assert run(*command) == EXIT_WRONG_CALL
    assert "this is a device" in capsys.readouterr().err
    assert link.is_char_device()


def test_device_takes_what_is_written_in_its_place() -> None:
    check_output_file(Path("/dev/null"), "--ledger", in_place=True)
    with pytest.raises(ArgumentError, match="this is a device"):
        check_output_file(Path("/dev/null"), "--picture")


@pytest.mark.parametrize(
    "command",
    [
        ["validate", "sound.h5", "--picture", "closed/there.png"],
        ["pedestal", "--config", "jf.json", "--add-to", "closed/there.png"],
    ],
    ids=" ".join,
)
def test_file_is_refused_whose_folder_takes_no_new_one_beside_it(run: Run, command: list[str]) -> None:
    Path("closed").mkdir()
    Path("closed/there.png").touch()
    Path("closed").chmod(0o500)
    done = run_as_plain_user(command)
    assert (done.returncode, "may not write there" in done.stderr) == (EXIT_WRONG_CALL, True), done.stderr


def test_no_file_is_looked_at_where_a_viewer_draws(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("tank.png").mkdir()
    command = ["std-sim", "display", "tank.json", "--viewer", "127.0.0.1:9", "--photons", "none.npz"]
    assert run(*command) == EXIT_WRONG_CALL
    assert "argument --photons: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["simulate", "--n-images", "1", "--ledger", "none/x"], ["replay", "none.dat"]], ids=" ".join
)
def test_wrong_path_is_told_while_the_services_still_start(
    run: Run, runtime: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with UpLock(load_any_config(Path("detector.json"))) as lock:
        timer = threading.Timer(10.0, lock.note_ready)  # without the check the command would wait for this
        timer.start()
        assert run("std-daq", *command, "--config", "detector.json") == EXIT_WRONG_CALL
        timer.cancel()
        timer.join()
    assert "are starting" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["result.h5", "result.parquet"])
def test_result_of_an_analysis_is_told_from_other_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert is_result(path)
    path.write_text("another file")
    assert not is_result(path)
    write_result(path, [], {"parameters": "{}", "versions": "{}", "source": "run.h5"})
    assert is_result(path)
