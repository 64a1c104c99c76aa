"""Runtime directories that another user has made first, in a folder in which every user can make files."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from std_daq.amqp.broker_lookup import broker_address_of
from std_daq.config.paths import make_runtime_dir, runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ConfigError
from std_daq.folders.owners import VARIABLE
from std_daq.service.record import OwnRecord, read_records

STRANGER = 54321

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")


@pytest.fixture
def shared(runtime: Path) -> Path:
    """A folder in which every user can make files, as /tmp is."""
    path = runtime / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


def of_stranger(folder: Path) -> Path:
    """Make a folder that another user owns, and which this user may write to."""
    folder.mkdir()
    folder.chmod(0o775)
    os.chown(folder, STRANGER, STRANGER)
    return folder


@needs_root
@pytest.mark.parametrize(
    "use",
    [make_runtime_dir, read_records, broker_address_of],
    ids=["service", "status", "client"],
)
def test_runtime_directory_of_another_user_is_not_used(shared: Path, use: Callable[[PlatformConfig], object]) -> None:
    config = PlatformConfig(name="camera", runtime_dir=shared)
    of_stranger(shared / "camera")
    (shared / "camera" / "broker-url").write_text("amqp://127.0.0.1:1/forged\n")
    with pytest.raises(ConfigError, match=f"{shared}/camera belongs to user {STRANGER}.*remove it.*{VARIABLE}"):
        use(config)


@needs_root
def test_parent_of_another_user_is_not_used(shared: Path) -> None:
    of_stranger(shared / "std-daq")
    with pytest.raises(ConfigError, match=f"{shared}/std-daq belongs to user {STRANGER}"):
        make_runtime_dir(PlatformConfig(name="camera", runtime_dir=shared / "std-daq"))


@needs_root
def test_link_of_another_user_is_not_followed(shared: Path, tmp_path: Path) -> None:
    (shared / "std-daq").symlink_to(tmp_path)
    os.chown(shared / "std-daq", STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(ConfigError, match=f"{shared}/std-daq belongs to user {STRANGER}"):
        make_runtime_dir(PlatformConfig(name="camera", runtime_dir=shared / "std-daq"))


@needs_root
def test_default_among_temporary_files_is_checked(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("STD_DAQ_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    config = PlatformConfig(name="camera")
    of_stranger(runtime_dir(config).parent)
    with pytest.raises(ConfigError, match=f"belongs to user {STRANGER}"):
        make_runtime_dir(config)


@needs_root
def test_users_that_the_administrator_trusts_share_a_directory(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_stranger(shared / "camera")
    monkeypatch.setenv(VARIABLE, str(STRANGER))
    assert make_runtime_dir(PlatformConfig(name="camera", runtime_dir=shared)) == shared / "camera"


@needs_root
def test_operators_read_the_records_of_services_of_another_user_below_a_folder_that_nobody_else_writes(
    runtime: Path,
) -> None:
    config = PlatformConfig(name="camera", runtime_dir=runtime / "run")
    (make_runtime_dir(config) / "services").mkdir()
    record = OwnRecord(config, "assembler", "http://127.0.0.1:1")
    os.chown(runtime / "run" / "camera", STRANGER, STRANGER)
    assert [one.instance for one in read_records(config)] == ["assembler"]
    record.remove()


def test_link_to_a_folder_of_the_administrator_may_be_the_parent(runtime: Path) -> None:
    (runtime / "var").mkdir()
    (runtime / "link").symlink_to("var")
    config = PlatformConfig(name="camera", runtime_dir=runtime / "link")
    assert make_runtime_dir(config) == runtime / "link" / "camera"


def test_folder_that_is_not_there_has_no_records(runtime: Path) -> None:
    assert read_records(PlatformConfig(name="camera", runtime_dir=runtime / "nowhere")) == []
