import os
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.output_roots import check_output_roots
from std_h5_writer.file_owner import FileOwner

CONFIG = {
    "detector_name": "det",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}


def with_roots(*roots: Path, **more: object) -> DetectorConfig:
    return parse_config({**CONFIG, "writer": {"output_roots": list(map(str, roots))}, **more})


def test_folders_that_can_be_written_to_are_left_as_they_were(tmp_path: Path) -> None:
    check_output_roots(with_roots(tmp_path))
    check_output_roots(with_roots())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["none", "file"])
def test_folder_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="no such folder") as caught:
        check_output_roots(with_roots(tmp_path, tmp_path / name))
    assert (caught.value.key, caught.value.value) == ("writer.output_roots", str(tmp_path / name))


def refusal(folder: Path, user: int) -> str:
    with pytest.raises(ConfigError) as caught:
        check_output_roots(with_roots(folder, writer_user_id=user), identity=FileOwner(user).identity())
    return str(caught.value)


@pytest.fixture
def other_user() -> int:
    """A user who may not write where this one has taken the right from all but root."""
    return os.geteuid() or 54321


def test_folder_of_another_user_is_told_with_its_owner_and_what_to_do(shm_dir: Path, other_user: int) -> None:
    shm_dir.chmod(0o500)
    text = refusal(shm_dir, other_user)
    shm_dir.chmod(0o700)
    assert f"user {other_user} cannot write to this folder of user {os.geteuid()}" in text
    assert f"mode 0500: Permission denied (got '{shm_dir}'); chown {other_user} {shm_dir}" in text


def test_folder_below_one_that_cannot_be_entered_is_told(shm_dir: Path, other_user: int) -> None:
    folder = shm_dir / "data"
    folder.mkdir()
    shm_dir.chmod(0o000)
    text = refusal(folder, other_user)
    shm_dir.chmod(0o700)
    assert f"user {other_user} cannot write to this folder: Permission denied" in text
