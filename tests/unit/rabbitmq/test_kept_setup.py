"""`std-daq broker-setup` that is called again changes what it is told to change, and keeps the rest."""

import json
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.rabbitmq.setup_folder import CA_FILE, CERT_FILE, KEY_FILE

URL = "jungfrau-agent.url"


def call(folder: Path, *arguments: str) -> int:
    return main(["broker-setup", "--output", str(folder), *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (CA_FILE, CERT_FILE, KEY_FILE):
        (tmp_path / name).write_text("there")
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_called_again_for_the_same_system_nothing_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(folder, "--tag", "jungfrau", "--tls", "--host", "a", "b", "--vhost", "own", "--listen-on", "10.0.0.1",
         "--mounted-at", "/srv", "--queue-type", "quorum")  # fmt: skip
    before = contents(folder)
    capsys.readouterr()
    assert call(folder, "--tag", "jungfrau") == 0
    assert contents(folder) == before
    assert capsys.readouterr().err == ""
    assert "listeners.ssl.1 = 10.0.0.1:5671" in before["rabbitmq.conf"]
    assert "@b:5671/own" in before[URL]


def test_only_what_is_given_changes_and_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(folder, "--tag", "jungfrau", "--tls", "--host", "a", "b")
    capsys.readouterr()
    call(folder, "--tag", "jungfrau", "--host", "c")
    assert capsys.readouterr().err == "changed: hosts: a b -> c\n"
    assert (folder / URL).read_text().startswith("amqps://")
    assert "@c:5671/" in (folder / URL).read_text()


def test_tls_goes_only_when_it_is_sent_away_and_its_usual_port_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(folder, "--tag", "jungfrau", "--tls")
    call(folder, "--tag", "jungfrau", "--no-tls")
    told = capsys.readouterr().err
    assert "changed: has_tls: on -> off" in told
    assert "changed: port: 5671 -> 5672" in told
    assert (folder / URL).read_text().startswith("amqp://")
    call(folder, "--tag", "jungfrau", "--port", "7000")
    call(folder, "--tag", "jungfrau", "--tls")
    assert ":7000/" in (folder / URL).read_text()


def test_systems_of_earlier_calls_stay_until_their_files_are_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def users() -> set[str]:
        return {user["name"] for user in json.loads((folder / "definitions.json").read_text())["users"]}

    call(folder, "--tag", "jungfrau")
    capsys.readouterr()
    call(folder, "--tag", "eiger")
    told = capsys.readouterr().err
    assert "changed: tags: jungfrau -> jungfrau eiger" in told
    assert "kept, although this call does not name them: jungfrau" in told
    assert {"jungfrau-agent", "eiger-agent"} <= users()
    for file in folder.glob("jungfrau-*.url"):
        file.unlink()
    call(folder, "--tag", "eiger")
    assert "jungfrau-agent" not in users()


def test_settings_of_somebody_else_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broker-setup.json").write_text("[]")
    assert call(folder, "--tag", "jungfrau") == 2
    assert "was not written by 'std-daq broker-setup'" in capsys.readouterr().err
