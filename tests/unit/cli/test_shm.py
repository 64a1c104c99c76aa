import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.imaging.buffers.frame_buffer import FrameBuffer


def make_ring(path: Path) -> FrameBuffer:
    ring, _ = FrameBuffer.create(path, n_modules=2, frame_bytes=4096, n_units=4, buffer_bytes=0, n_slots=8)
    return ring


WRITER = """
import sys
from pathlib import Path
from std_daq.shm.segment import Segment
segment = Segment.attach(Path(sys.argv[1]), is_writable=True)
segment.lock(1, "test")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def writer_elsewhere(path: Path) -> Iterator[int]:
    """Another process that has the ring mapped and writes a part of it."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process.pid
        process.communicate()


def listed(directory: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    assert main(["shm", "list", "--directory", str(directory), "--json"]) == 0
    rings: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rings


def test_ring_is_listed_with_its_writer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "det-frames"
    make_ring(path).close()
    (tmp_path / "something-else").write_text("not a ring")
    with writer_elsewhere(path) as pid:
        [ring] = listed(tmp_path, capsys)
        assert ring["path"] == str(path)
        assert ring["creator_pid"] == os.getpid()
        assert ring["state"] == "live"
        assert ring["writers"] == [pid]
        assert pid in ring["users"]
        assert main(["shm", "list", "--directory", str(tmp_path)]) == 0
        assert f"{pid} (writes)" in capsys.readouterr().out
    [ring] = listed(tmp_path, capsys)
    assert not ring["is_used"]
    assert ring["state"] == "left"  # its service has ended


def test_clean_removes_what_nobody_uses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ring(tmp_path / "old-frames").close()
    make_ring(tmp_path / "used-frames").close()
    (tmp_path / ".det-frames.0123456789abcdef.making").write_bytes(b"")
    (tmp_path / ".det-frames.std-daq-lock").write_bytes(b"")
    with writer_elsewhere(tmp_path / "used-frames"):
        assert main(["shm", "clean", "--directory", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["used-frames"]
    assert "kept" in capsys.readouterr().out


def test_forced_clean_tells_the_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = make_ring(tmp_path / "used-frames")
    assert main(["shm", "clean", "--directory", str(tmp_path)]) == 0
    assert ring.is_live
    assert main(["shm", "clean", "--force", "--directory", str(tmp_path)]) == 0
    assert not ring.is_live
    assert list(tmp_path.iterdir()) == []
    ring.close()


def test_missing_directory_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shm", "list", "--directory", str(tmp_path / "nowhere")]) == 2
    assert "argument --directory: there is no such folder" in capsys.readouterr().err


def test_only_the_rings_of_a_detector_are_cleaned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "detector.json"
    rings = tmp_path / "shm"
    rings.mkdir()
    config.write_text(
        json.dumps(
            {
                "detector_name": "one",
                "detector_type": "eiger",
                "n_modules": 1,
                "bit_depth": 16,
                "image_pixel_height": 256,
                "image_pixel_width": 514,
                "start_udp_port": 50000,
                "module_positions": {},
                "shared_memory": {"directory": str(rings)},
            }
        )
    )
    make_ring(rings / "one-frames").close()
    make_ring(rings / "other-frames").close()
    assert main(["shm", "clean", "--config", str(config)]) == 0
    assert [path.name for path in rings.iterdir()] == ["other-frames"]
