"""A command that found nothing to do its work on says so, and does not end with 0."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.photons.records import PHOTON
from std_test_kit.chambers import write_chamber
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.photon_tank import write_tank

Run = Callable[..., int]
NOBODY = "tcp://127.0.0.1:9"
REGION = ["--region", "9000", "9000", "9000", "9400", "9400", "9400"]
ANALYSE = ["--config", "tpc.json", "--output", "r.h5", "--workers", "1"]
MAP = ["--output", "m.h5", "--voxel-mm", "9"]
NO_SERVER = ["--host", "unix:/nonexistent"]
TLS = ["--tls-ca", "tpc.json"]
REPLAY = ["--config", "tpc.json", "--wait-s", "0.01"]
# What each command is asked, its exit code, and what it says.
NOTHING = [
    (["std-daq", "simulate", "--config", "detector.json", "--n-images", "1"], 1, "nobody listened on UDP port"),
    (["std-daq", "simulate", "--config", "tpc.json", "--n-events", "1", "--wait-s", "0.01"], 1, "no client took any"),
    (["std-daq", "replay", "run.h5", *REPLAY], 1, "no client took any of it"),
    (["std-daq", "replay", "empty.graw", *REPLAY], 1, "no event is in the files; nothing was sent"),
    (["std-daq", "replay", "empty.h5", *REPLAY], 1, "no event is in the files; nothing was sent"),
    (["std-daq", "replay", "50000.dat", "--config", "detector.json"], 1, "the file is empty"),
    (
        ["std-daq", "dump", "--config", "detector.json", "--output", "a", "--duration-s", "0.05"],
        1,
        "nothing was recorded",
    ),
    (["std-daq", "dump", "--config", "tpc.json", "--output", "b", "--duration-s", "0.05"], 1, "was never reached"),
    (["std-daq", "analyse", "empty.h5", *ANALYSE], 1, "no event is in the files: the result is empty"),
    (["std-daq", "analyse", "empty.graw", *ANALYSE], 1, "no event is in the files: the result is empty"),
    (["std-daq", "join", "master.h5"], 2, "the following arguments are required: FILE"),
    (["std-daq", "journal", "backup", "--config", "detector.json", "--output", "copy"], 1, "no writer agent of this"),
    (["std-daq", "event-view", "--config", "tpc.json", "--reset"], 1, "no view of chamber answers"),
    (["std-daq", "status", "--config", "detector.json", "--once"], 1, "no service of this detector runs here"),
    (["std-daq", "status", "--config", "tpc.json", "--once"], 1, "no service of this detector runs here"),
    (["std-daq", "view", "--address", NOBODY, "--timeout-s", "0.05"], 1, "nobody listens there"),
    (["std-daq", "live", "--host", "unix:/nonexistent", "--list-hosts"], 1, "does not answer"),
    (["std-daq", "live", "--host", "unix:/nonexistent", "--plot-speed", "--seconds", "0.1"], 1, "do not answer"),
    (["std-daq", "ublox", "--host", "unix:/nonexistent", "capture", "--seconds", "0.1"], 1, "no message has come"),
    (["std-daq", "ublox", "--host", "unix:/nonexistent", "poll", "MON-VER"], 1, "is the server running there"),
    (["std-daq", "certificates", "--output", "certificates"], 2, "no name to make a certificate for"),
    (["std-sim", "run", "empty.npz", "--address", NOBODY], 1, "no event is in the file; nothing was simulated"),
    (["std-sim", "ping", "--address", NOBODY, "--timeout-s", "0.05"], 1, "does not answer PING"),
    (["std-sim", "run", "tpc.json", "--address", NOBODY], 2, "is no npz file: it is no archive of arrays"),
    (["std-sim", "display", "tank.json", "--hits", "tpc.json"], 2, "no file of hits: it is no archive of arrays"),
    (
        ["std-sim", "map", "tank.json", "--output", "m.h5", "--voxel-mm", "9", *REGION],
        2,
        "no part of the detector is in",
    ),
    (["std-daq", "simulate", "--config", "tpc.json", "--n-events", "1", "--dead", "9.9"], 2, "has no such board"),
    (["std-daq", "simulate", "--config", "tpc.json", "--n-events", "1", "--lag", "7=5"], 2, "has no such board"),
    (["std-sim", "bench", "--wavelength", "0"], 2, "0 is not a finite number greater than 0"),
    (["std-sim", "bench", "--wavelength", "nan"], 2, "nan is not a finite number greater than 0"),
    (["std-sim", "bench", "--position", "0", "inf", "0"], 2, "'inf' is not a finite number"),
    (["std-sim", "bench", "--address", "nonsense"], 2, "argument --address: this is no address"),
    (["std-sim", "ping", "--keys", "none.json"], 2, "argument --keys: cannot be read"),
    (["std-sim", "info", "--keys", "tank.json"], 2, "argument --keys: this is no file of keys of a client"),
    (["std-sim", "map", "none.yaml", *MAP, "--router", "nonsense"], 2, "argument --router: this is no address"),
    (["std-sim", "map", "none.yaml", *MAP, "--router", NOBODY, "--keys", "no"], 2, "argument --keys: cannot be read"),
    (["std-sim", "display", "tank.json", "--centre", "0", "0", "nan"], 2, "'nan' is not a finite number"),
    (["std-sim", "display", "none.json"], 2, "none.json: there is no such file; give the path of a geometry file"),
    (["std-sim", "map", "none.yaml", *MAP], 2, "none.yaml: there is no such file; give the path of a geometry file"),
    (["std-sim", "map", "tank.json", *MAP, "--region", *"00011", "nan"], 2, "'nan' is not a finite number"),
    (["std-sim", "convert", "none.gdml", "--output", "g.json"], 2, "argument DETECTOR.gdml: there is no such file"),
    (["std-sim", "convert", "tank.json", "--ratdb", "none", "--list"], 2, "argument --ratdb: there is no such file"),
    (["std-sim", "convert", "tank.json", "--output", "no/g.json"], 2, "there is no folder no"),
    (["std-daq", "simulate", "--config", "tpc.json", "--n-events", "1", "--wait-s", "nan"], 2, "finite number from 0"),
    (["std-daq", "analyse", "run.h5", "./run.h5", *ANALYSE], 2, "this file is given already, as run.h5"),
    (["std-daq", "analyse", "run.h5", "--config", "tpc.json", "--output", "r.h5", "--dask", "no"], 2, "'no' is not an"),
    (["std-daq", "join", "master.h5", "run.h5", "run.h5"], 2, "this file is given already, as run.h5"),
    (["std-daq", "pff", "to-hdf5", "run.h5", "run.h5", "new.h5"], 2, "this file is given already, as run.h5"),
    (["std-daq", "ublox", "--host", "unix:/nonexistent", "capture", "["], 2, "'[' is no regular expression"),
    (["std-daq", "ublox", "--host", "unix:/nonexistent", "poll", "("], 2, "'(' is no regular expression"),
    (["std-daq", "live", *NO_SERVER, "--ping", "--tls-cert", "tpc.json"], 2, "--tls-cert: has no meaning without TLS"),
    (["std-daq", "live", *NO_SERVER, "--ping", "--tls-name", "a"], 2, "--tls-name: has no meaning without TLS"),
    (["std-daq", "live", *NO_SERVER, "--ping", *TLS, "--tls-key", "tpc.json"], 2, "--tls-key: needs --tls-cert"),
    (["std-daq", "ublox", *NO_SERVER, "--tls-key", "tpc.json", "capture"], 2, "--tls-key: has no meaning without TLS"),
    (["std-daq", "ublox", *NO_SERVER, *TLS, "--tls-cert", "tpc.json", "capture"], 2, "--tls-cert: needs --tls-key"),
    (["std-daq", "ublox", *NO_SERVER, "--tls-ca", "none", "capture"], 2, "--tls-ca: there is no such file"),
    (["std-daq", "ublox", *NO_SERVER, "--token-file", "none", "capture"], 2, "--token-file: there is no such file"),
    (["std-daq", "simulate-f9t", "none/link"], 2, "argument LINK: there is no folder none"),
    (["std-daq", "simulate-f9t", "link", "--replay", "empty.npz"], 2, "is not a text in UTF-8"),
    (["std-daq", "simulate-f9t", "link", "--replay", "empty.graw"], 2, "has no messages; give a file with a line"),
    (["std-sim", "keys", "--output", "keys"], 2, "the following arguments are required: NAME"),
]


@pytest.fixture
def run(tmp_path: Path, config_file: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with configurations, and files in which nothing is."""
    write_chamber(tmp_path, [f"127.0.0.1:{free_tcp_port()}"], [(0, 0)])
    write_tank(tmp_path)
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_group("events").attrs["version"] = "libattpc_merger:1.0"
    with h5py.File(tmp_path / "run.h5", "w") as file:
        events = file.create_group("events")
        events.attrs["version"] = "libattpc_merger:1.0"
        traces = events.create_dataset("event_0/get_traces", data=np.array([[0, 0, 0, 0, 0, *range(512)]], "i2"))
        traces.attrs.update(id=np.uint32(0), timestamp=np.uint64(0), timestamp_other=np.uint64(0))
    for name in ("empty.graw", "50000.dat"):
        (tmp_path / name).touch()
    nothing = {name: np.zeros(0, PHOTON[name]) for name in PHOTON.names or ()}
    np.savez(tmp_path / "empty.npz", event_id=np.zeros(0, np.uint32), **nothing)
    if (tmp_path / "detector.json") != Path(config_file):
        os.link(config_file, tmp_path / "detector.json")
    monkeypatch.chdir(tmp_path)

    def run_command(program: str, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        (script,) = entry_points(group="console_scripts", name=program)
        try:
            return int(script.load()())
        except SystemExit as ended:
            return int(ended.code or 0)

    return run_command


@pytest.mark.long
@pytest.mark.parametrize(("command", "exit_code", "words"), NOTHING, ids=[" ".join(row[0]) for row in NOTHING])
def test_nothing_done_is_told(
    run: Run, command: list[str], exit_code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command) == exit_code
    assert words in "".join(capsys.readouterr())
