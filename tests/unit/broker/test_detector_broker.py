from pathlib import Path
from typing import Any

import pytest

from std_daq.broker.detector_broker import broker_url_of
from std_daq.config.load import parse_config
from std_daq.config.model import DetectorConfig
from std_daq.errors import BrokerError, ConfigError

UP, ENVIRONMENT, GIVEN, CONFIGURED = (f"amqp://{name}:5672/" for name in ("up", "environment", "given", "configured"))


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


def left_by_up(runtime: Path) -> None:
    (runtime / "det").mkdir()
    (runtime / "det" / "broker-url").write_text(f"{UP}\n")


def test_nearest_says_where_the_broker_is(runtime: Path) -> None:
    left_by_up(runtime)
    environ = {"STD_DAQ_BROKER_URL": ENVIRONMENT}
    assert broker_url_of(config(url=CONFIGURED), GIVEN, environ=environ) == GIVEN
    assert broker_url_of(config(url=CONFIGURED), environ=environ) == ENVIRONMENT
    assert broker_url_of(config(url=CONFIGURED), environ={}) == UP


def test_configured_broker_is_found(runtime: Path, tmp_path: Path) -> None:
    assert broker_url_of(config(url=CONFIGURED), environ={}) == CONFIGURED
    file = tmp_path / "url"
    file.write_text(f"{GIVEN}\n")
    assert broker_url_of(config(url=CONFIGURED, url_file=str(file)), environ={}) == GIVEN


def test_unknown_broker_is_told_with_all_ways_to_give_one(runtime: Path) -> None:
    with pytest.raises(BrokerError, match=r"std-daq up.*STD_DAQ_BROKER_URL.*broker\.url_file"):
        broker_url_of(config(), environ={})


def test_url_file_that_cannot_be_read_is_named(runtime: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere") as caught:
        broker_url_of(config(url_file=str(tmp_path / "nowhere")), environ={})
    assert caught.value.key == "broker.url_file"
