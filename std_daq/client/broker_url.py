"""Where the broker of a detector is, for who has nothing but the configuration."""

import os
from collections.abc import Mapping

from std_daq.broker.address import VARIABLE, find_broker_url
from std_daq.config.model import DetectorConfig
from std_daq.config.paths import broker_url_file
from std_daq.errors import BrokerError


def broker_url_of(config: DetectorConfig, url: str | None = None, *, environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL that was given, else of the environment, else that ``std-daq up`` left, else the configured one.

    Raises
    ------
    BrokerError
        There is none; the text says all the ways to give one.
    """
    left_by_up = broker_url_file(config)
    files = [file for file in (left_by_up, config.broker.url_file) if file is not None and file.is_file()]
    if not (url or environ.get(VARIABLE) or files or config.broker.url):
        raise BrokerError(
            f"no broker is known for {config.detector_name}: start its services with 'std-daq up', give a URL, set "
            f"{VARIABLE}, or set broker.url or broker.url_file in its configuration (looked for {left_by_up})"
        )
    configured = None if files or environ.get(VARIABLE) else config.broker.url
    return find_broker_url(url or configured, file=files[0] if files else None, environ=environ)
