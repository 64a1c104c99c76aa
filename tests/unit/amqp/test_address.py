import argparse
import logging

import pika
import pytest

from std_daq.amqp.address import BrokerAddress, BrokerTlsFiles, redact_url, url_argument
from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.topology import NothingOwned
from std_daq.errors import BrokerError
from std_daq.telemetry.logs import configure_logs

# Each has "hush" in its password, or where a password might be.
HOSTILE = [
    "amqp://user:hush@host:5672/vhost?x=1",
    "amqp://user:hu?hush@host/",
    "amqp://user:hush#hush@host/",
    "amqp://user:a/hush@host/",
    "amqp://user:1/hush@host/",
    "amqp://user:a@hush@host/",
    "amqp://user:hush",
    "amqp://user:hush@",
    "amqp://user:hush@[::1",
    "amqp://user:hush@host:hush/",
    "amqp://host:hush/",
    "amqp://user:hush@host/?ssl_options={'hush'}",
    "amqp://user:hush@host/?heartbeat=hush",
    "amqps://user:hush@host/?ssl_options=hush",
    "amqp:/user:hush@host",
    "amqp//user:hush@host",
    "http://user:hush@host",
    "user:hush@host:5672",
    "hush",
    "amqp://user:%zzhush@host:99999/",
    "amqp://user:hush@ho st/",
    "amqp://user:hush\n@host/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_no_piece_of_a_password_is_told_whatever_the_url(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug")
    caplog.set_level(logging.DEBUG)
    said = [redact_url(url)]
    try:
        address = BrokerAddress.parse(url)
        said += [str(address), repr(address)]
        with BrokerConnection(address, NothingOwned()) as connection:
            said += [repr(connection), str(connection.why_away)]
            with pytest.raises(BrokerError) as caught:
                connection.wait_connected(0.2)
            said.append(str(caught.value))
    except BrokerError as error:
        said += [str(error), repr(error.__cause__)]
    assert "hush" not in "".join(said) + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "url", ["localhost", "http://u:secret@host", "amqp://", "u:secret@host:5672", "amqp:/h", "  ", "amqp://u:1/2@h"]
)
def test_wrong_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(BrokerError, match="amqp://user:password@host:5672/vhost"):
        BrokerAddress.parse(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://user:se:c@ret@host:5672/vhost?x=1", "amqp://host:5672/vhost"),
        ("amqps://host", "amqps://host"),
        ("amqp://user:secret@[::1]:5672/%2F", "amqp://[::1]:5672/%2F"),
        ("user:secret@host", "(not a URL)"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_nodes_of_a_cluster_are_separated_by_any_white_space() -> None:
    address = BrokerAddress.parse("amqp://u:p@a\namqp://u:p@b  amqp://u:p@c\n")
    assert address.urls == ("amqp://u:p@a", "amqp://u:p@b", "amqp://u:p@c")
    assert str(address) == "amqp://a, amqp://b, amqp://c"
    assert BrokerAddress.parse(address.text) == address


def test_one_wrong_url_among_several_is_refused() -> None:
    with pytest.raises(BrokerError, match="amqp://user:password@host"):
        BrokerAddress.parse("amqp://a b")


def test_url_with_password_is_refused_on_the_command_line() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="STD_DAQ_BROKER_URL_FILE") as caught:
        url_argument("amqp://user:hush@host")
    assert "hush" not in str(caught.value)
    assert url_argument("amqp://user@host:5672/") == "amqp://user@host:5672/"


def test_plain_url_gets_no_tls() -> None:
    address = BrokerAddress.parse("amqp://host", BrokerTlsFiles())
    assert pika.URLParameters(address.urls[0]).ssl_options is None
