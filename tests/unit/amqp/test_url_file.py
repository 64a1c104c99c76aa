import stat
from pathlib import Path

import pytest

from std_daq.amqp import url_file
from std_daq.amqp.url_file import read_url_file, save_url_file


def test_saved_url_is_for_its_owner_only_whatever_was_there(tmp_path: Path) -> None:
    file = tmp_path / "broker.url"
    file.write_text("old")
    file.chmod(0o666)
    save_url_file(file, "amqp://user:secret@host")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_url_file(file) == "amqp://user:secret@host"


def test_file_that_others_may_read_is_read_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broker.url"
    save_url_file(file, "amqp://user:secret@host")
    read_url_file(file)
    file.chmod(0o640)
    read_url_file(file)
    assert not capsys.readouterr().err
    file.chmod(0o644)
    read_url_file(file)
    said = capsys.readouterr().err
    assert "open_to_others" in said
    assert "secret" not in said
    monkeypatch.setattr(url_file, "ENGINE_SECRETS", tmp_path)
    read_url_file(file)
    assert not capsys.readouterr().err, "an engine's secrets are seen by the container only"
