from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from std_daq.amqp.address import FILE_VARIABLE, BrokerTlsFiles
from std_daq.amqp.broker_lookup import broker_address_of, given_broker_address
from std_daq.config.up_lock import UpLock
from std_daq.errors import BrokerError, ConfigError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig

UP, ENVIRONMENT, SECRET, GIVEN, CONFIGURED = (
    f"amqp://{name}:5672/" for name in ("up", "environment", "secret", "given", "configured")
)


def config(**broker: Any) -> DetectorConfig:
    return parse_config(
        {
            "detector_name": "det",
            "detector_type": "eiger",
            "n_modules": 1,
            "bit_depth": 16,
            "image_pixel_height": 256,
            "image_pixel_width": 514,
            "start_udp_port": 50000,
            "module_positions": {},
            "broker": broker,
        }
    )


@contextmanager
def up_is_running(runtime: Path) -> Iterator[None]:
    with UpLock(config()):
        (runtime / "det" / "broker-url").write_text(f"{UP}\n")
        yield


def url_of(*arguments: Any, **more: Any) -> str:
    return broker_address_of(*arguments, **more).text


def test_nearest_says_where_the_broker_is(runtime: Path, tmp_path: Path) -> None:
    secret = tmp_path / "broker-url"
    secret.write_text(f"{SECRET}\n")
    environ = {"STD_DAQ_BROKER_URL": ENVIRONMENT, "STD_DAQ_BROKER_URL_FILE": str(secret)}
    assert url_of(config(url=CONFIGURED), GIVEN, environ=environ) == GIVEN
    assert url_of(config(url=CONFIGURED), environ=environ) == ENVIRONMENT
    del environ["STD_DAQ_BROKER_URL"]
    assert url_of(config(url=CONFIGURED), environ=environ) == SECRET
    assert url_of(config(url=CONFIGURED), environ={}) == CONFIGURED
    with up_is_running(runtime):
        assert url_of(config(url=CONFIGURED), environ={}) == UP
        assert url_of(config(url=CONFIGURED), environ={"STD_DAQ_BROKER_URL": ENVIRONMENT}) == ENVIRONMENT


def test_what_a_killed_up_has_left_does_not_count(runtime: Path) -> None:
    with up_is_running(runtime):
        pass
    assert (runtime / "det" / "broker-url").exists()
    assert url_of(config(url=CONFIGURED), environ={}) == CONFIGURED
    with pytest.raises(BrokerError, match="is 'std-daq up' running"):
        broker_address_of(config(), environ={})


def test_source_of_the_url_is_known(runtime: Path, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    sources = {
        "--broker-url": broker_address_of(config(), GIVEN, environ={}),
        "the variable STD_DAQ_BROKER_URL": broker_address_of(config(), environ={"STD_DAQ_BROKER_URL": GIVEN}),
        f"{file}, which STD_DAQ_BROKER_URL_FILE names": broker_address_of(config(), environ={FILE_VARIABLE: str(file)}),
        f"{file}, which broker.url_file names": broker_address_of(config(url_file=str(file)), environ={}),
        "broker.url": broker_address_of(config(url=CONFIGURED), environ={}),
    }
    assert {source: address.source for source, address in sources.items()} == {source: source for source in sources}
    with up_is_running(runtime):
        assert broker_address_of(config(), environ={}).source == "std-daq up"


def test_configured_broker_is_found(runtime: Path, tmp_path: Path) -> None:
    assert url_of(config(url=CONFIGURED), environ={}) == CONFIGURED
    file = tmp_path / "url"
    file.write_text(f"{GIVEN}\n")
    assert url_of(config(url=CONFIGURED, url_file=str(file)), environ={}) == GIVEN


def test_broker_that_up_has_left_is_none_that_was_given(runtime: Path) -> None:
    with up_is_running(runtime):
        assert given_broker_address(config(), environ={}) is None
    given = given_broker_address(config(url=CONFIGURED), environ={})
    assert given is not None
    assert given.text == CONFIGURED


def test_files_of_tls_go_with_the_url(tmp_path: Path) -> None:
    address = broker_address_of(config(ca_file="/ca.pem", cert_file="/c.pem", key_file="/k.pem"), GIVEN, environ={})
    assert address.tls == BrokerTlsFiles(Path("/ca.pem"), Path("/c.pem"), Path("/k.pem"))


def test_unknown_broker_is_told_with_all_ways_to_give_one(runtime: Path) -> None:
    with pytest.raises(BrokerError, match=r"std-daq up.*STD_DAQ_BROKER_URL.*STD_DAQ_BROKER_URL_FILE.*broker\.url_file"):
        broker_address_of(config(), environ={})


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"", "is empty"), (b"\xff", "not UTF-8")])
def test_url_file_that_cannot_be_used_is_named(
    runtime: Path, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    for key, arguments in (
        ("broker.url_file", (config(url_file=str(file)), {})),
        ("STD_DAQ_BROKER_URL_FILE", (config(), {"STD_DAQ_BROKER_URL_FILE": str(file)})),
    ):
        with pytest.raises(ConfigError, match=f"{reason}.*{file}") as caught:
            broker_address_of(arguments[0], environ=arguments[1])
        assert caught.value.key == key


def test_password_in_the_configuration_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"broker\.url.*use broker\.url_file") as caught:
        config(url="amqp://user:hush@host")
    assert "hush" not in str(caught.value)


def test_certificate_without_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="belong together"):
        config(cert_file="/c.pem")


def test_url_where_the_path_of_its_file_belongs_is_told_without_password(runtime: Path) -> None:
    url = "amqp://user:hush@host"
    for configured, environ in ((config(url_file=url), {}), (config(), {FILE_VARIABLE: url})):
        with pytest.raises(ConfigError) as caught:
            broker_address_of(configured, environ=environ)
        assert "hush" not in str(caught.value)
