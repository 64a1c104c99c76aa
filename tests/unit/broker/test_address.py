import stat
from pathlib import Path

import pytest

from std_daq.broker.address import VARIABLE, find_broker_url, redact_url, save_broker_url
from std_daq.errors import BrokerError


def test_argument_wins_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "broker.url"
    save_broker_url(file, "amqp://file")
    environ = {VARIABLE: "amqp://environment"}
    assert find_broker_url("amqp://argument", file=file, environ=environ) == "amqp://argument"
    assert find_broker_url(file=file, environ=environ) == "amqp://environment"
    assert find_broker_url(file=file, environ={}) == "amqp://file"


def test_without_any_url_the_remedy_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=VARIABLE):
        find_broker_url(file=tmp_path / "missing", environ={})


@pytest.mark.parametrize("url", ["localhost", "http://u:secret@host", "amqp://", "u:secret@host:5672", "amqp:/h"])
def test_wrong_url_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(BrokerError, match="does not look like") as caught:
        find_broker_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://user:se:c@ret@host:5672/vhost?x=1", "amqp://host:5672/vhost"),
        ("amqps://host", "amqps://host"),
        ("user:secret@host", "(not a URL)"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_saved_url_is_for_its_owner_only_whatever_was_there(tmp_path: Path) -> None:
    file = tmp_path / "broker.url"
    file.write_text("old")
    file.chmod(0o666)
    save_broker_url(file, "amqp://user:secret@host")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert find_broker_url(file=file, environ={}) == "amqp://user:secret@host"
