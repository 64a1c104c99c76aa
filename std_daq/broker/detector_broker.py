"""Which broker a detector uses: one order of looking for it, the same for services and commands."""

import os
from collections.abc import Mapping

from std_daq.broker.address import VARIABLE, find_broker_url
from std_daq.config.model import DetectorConfig
from std_daq.config.paths import broker_url_file
from std_daq.errors import BrokerError, ConfigError


def broker_url_of(config: DetectorConfig, url: str | None = None, *, environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of a detector's broker.

    The URL that was given, else that of the environment, else that which a running ``std-daq up`` has left, else that
    of the configuration, where ``broker.url_file`` goes before ``broker.url``.

    Raises
    ------
    BrokerError
        There is none; the text says all the ways to give one.
    ConfigError
        ``broker.url_file`` cannot be read.
    """
    left_by_up = broker_url_file(config)
    found = url or environ.get(VARIABLE)
    if not found and left_by_up.is_file():
        return find_broker_url(file=left_by_up, environ={})
    found = found or configured_broker_url(config)
    if not found:
        raise BrokerError(
            f"no broker is known for {config.detector_name}: start its services with 'std-daq up', give a URL, set "
            f"{VARIABLE}, or set broker.url or broker.url_file in its configuration (looked for {left_by_up})"
        )
    return find_broker_url(found)


def configured_broker_url(config: DetectorConfig) -> str | None:
    """Return the URL that the configuration gives, None where it gives none; raises ConfigError."""
    file = config.broker.url_file
    if file is None:
        return config.broker.url
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", key="broker.url_file", value=str(file)) from None
