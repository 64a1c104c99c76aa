"""A command that found nothing to do its work on says so, and does not end with 0."""

from pathlib import Path

import h5py
import pytest

from std_daq.cli.__main__ import main
from std_test_kit.chambers import write_chamber
from std_test_kit.free_ports import free_tcp_port


@pytest.fixture
def chamber(tmp_path: Path) -> str:
    return str(write_chamber(tmp_path, [f"127.0.0.1:{free_tcp_port()}"], [(0, 0)]))


@pytest.fixture(params=["empty.graw", "empty.h5"])
def without_events(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / request.param
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_group("events").attrs["version"] = "libattpc_merger:1.0"
    else:
        path.touch()
    return str(path)


def test_analysis_of_no_event_is_told(
    chamber: str, without_events: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "result.h5"
    arguments = ["analyse", without_events, "--config", chamber, "--output", str(result), "--workers", "1"]
    assert main(arguments) == 1
    assert "no event is in the files: the result is empty" in capsys.readouterr().err


def test_replay_of_no_event_is_told(chamber: str, without_events: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", without_events, "--config", chamber, "--wait-s", "0.01"]) == 1
    assert "no event is in the files; nothing was sent" in capsys.readouterr().err
