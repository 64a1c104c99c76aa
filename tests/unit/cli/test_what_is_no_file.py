"""A path to a pipe, a device, a socket or a folder is refused in one line by every command that reads files."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from std_daq.cli.__main__ import main
from std_daq.errors import FileFormatError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_daq.shm.segment import HEADER, LAYOUT_VERSION, MAGIC
from std_test_kit.chambers import write_chamber
from std_test_kit.image_files import report_of, write_image_file

COMMANDS = [
    ("validate", "{}"),
    ("recover", "{}"),
    ("join", "joined.h5", "{}", "{}"),
    ("analyse", "{}", "--config", "tpc.json", "--output", "clouds.h5"),
    ("pff", "info", "{}"),
    ("pff", "cat", "{}"),
    ("pff", "to-hdf5", "{}", "out.h5"),
]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_no_file_is_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_chamber(tmp_path, ["127.0.0.1:46001"], [(0, 0)])
    KINDS[kind](Path("x.h5"))
    assert main([part.format("x.h5") for part in command]) == 2
    told = capsys.readouterr().err
    assert f"this is {kind}" in told
    assert len(told.strip().splitlines()) == 1


def test_a_data_file_that_is_a_pipe_is_a_problem_of_its_master(tmp_path: Path) -> None:
    data_file, path = write_image_file(tmp_path / "run_data_000001.h5"), tmp_path / "run.h5"
    write_master(path, [data_file], report_of(Verdict.INCOMPLETE, n_incomplete=2))
    data_file.unlink()
    os.mkfifo(data_file)
    assert any("this is no file" in problem.text for problem in validate(path).problems)
    path.unlink()
    with pytest.raises(FileFormatError, match="this is no file"):
        recover(path)


def broken_ring(path: Path, **values: object) -> None:
    header = np.zeros(1, HEADER)
    fields = {"magic": MAGIC, "layout_version": LAYOUT_VERSION, "total_bytes": HEADER.itemsize, "state": 1} | values
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.tobytes())


def make_ring(path: Path) -> FrameBuffer:
    return FrameBuffer.create(path, n_modules=2, frame_bytes=4096, n_units=4, buffer_bytes=0, n_slots=8)[0]


@pytest.mark.parametrize("action", ["list", "clean"])
def test_rings_with_nonsense_are_told_in_a_line_each_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setenv("COLUMNS", "500")  # long paths stay in one line
    broken_ring(tmp_path / "a-state", state=77)
    broken_ring(tmp_path / "b-text", geometry=b"{{{{", geometry_bytes=4)
    broken_ring(tmp_path / "c-deep", geometry=b"[" * 2000, geometry_bytes=2000)
    broken_ring(tmp_path / "d-length", geometry=b"{}", geometry_bytes=2, total_bytes=1 << 60)
    broken_ring(tmp_path / "e-empty", geometry=b"{}", geometry_bytes=2)
    broken_ring(tmp_path / "f-kind", geometry=b'{"kind": 5, "attributes": 7}', geometry_bytes=28)
    os.mkfifo(tmp_path / "g-pipe")
    FrameBuffer.create(tmp_path / "h-ring", n_modules=2, frame_bytes=4096, n_units=4, buffer_bytes=0, n_slots=8)[
        0
    ].close()
    assert main(["shm", action, "--directory", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for name in ("a-state", "b-text", "c-deep", "d-length"):
        assert sum(f"{tmp_path / name}:" in line for line in told.splitlines()) == 1
    assert str(tmp_path / "h-ring") in told
    assert (tmp_path / "h-ring").exists() == (action == "list")
