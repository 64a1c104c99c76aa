"""Services that cannot start say why, and end with the exit code that tells whether to start them again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = {
    "detector_name": "start",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}


def start(folder: Path, module: str, **changes: object) -> tuple[int, str]:
    """Run a service to its end; returns exit code and the last error that it logged."""
    file = folder / "detector.json"
    file.write_text(json.dumps(CONFIG | changes))
    ended = subprocess.run(
        [sys.executable, "-m", module, "--config", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    errors = [json.loads(line) for line in ended.stderr.splitlines() if '"level": "error"' in line]
    assert len(errors) == 1, ended.stderr
    return ended.returncode, errors[0]["error"]


@pytest.mark.parametrize("module", ["std_h5_writer", "std_writer_agent"])
def test_who_writes_looks_at_the_folders_for_data(module: str, tmp_path: Path, runtime: Path) -> None:
    exit_code, error = start(tmp_path, module, writer={"output_roots": [str(tmp_path / "none")]})
    assert exit_code == 2
    assert f"detector.json: key 'writer.output_roots': there is no such folder (got '{tmp_path}/none')" in error


@pytest.mark.long
def test_rings_that_do_not_fit_are_told_with_the_numbers(tmp_path: Path, runtime: Path, shm_dir: Path) -> None:
    exit_code, error = start(tmp_path, "std_assembler", ram_buffer_gb=1e6, shared_memory={"directory": str(shm_dir)})
    assert exit_code == 1
    assert "GB are needed" in error
    assert str(shm_dir) in error


def test_live_stream_without_a_stream_is_a_wrong_configuration(tmp_path: Path, runtime: Path) -> None:
    exit_code, error = start(tmp_path, "std_live_stream")
    assert exit_code == 2
    assert "key 'live_stream_configs': no stream is configured; add one, such as" in error
