"""Which broker a detector uses: one order of looking for it, the same for services and commands."""

import os
from collections.abc import Mapping
from pathlib import Path

from std_daq.amqp.address import FILE_VARIABLE, VARIABLE, BrokerAddress, TlsFiles
from std_daq.amqp.url_file import read_url_file
from std_daq.config.paths import broker_url_file
from std_daq.config.platform import PlatformConfig
from std_daq.errors import BrokerError, ConfigError


def broker_address_of(
    config: PlatformConfig, url: str | None = None, *, environ: Mapping[str, str] = os.environ
) -> BrokerAddress:
    """Return where a detector's broker is.

    The URL that was given, else that of the environment (STD_DAQ_BROKER_URL, or in the file STD_DAQ_BROKER_URL_FILE),
    else that which a running ``std-daq up`` has left, else that of the configuration, where ``broker.url_file`` goes
    before ``broker.url``.

    Raises
    ------
    BrokerError
        There is none; the text says all the ways to give one. Or it is no URL of a broker.
    ConfigError
        A file cannot be read.
    """
    left_by_up = broker_url_file(config)
    found = _first_of(url, environ)
    if not found and left_by_up.is_file():
        found = read_url_file(left_by_up)
    found = found or _configured(config)
    if not found:
        raise BrokerError(
            f"no broker is known for {config.name}: start its services with 'std-daq up', give a URL, set "
            f"{VARIABLE} or {FILE_VARIABLE}, or set broker.url or broker.url_file in its configuration (looked for "
            f"{left_by_up})"
        )
    return BrokerAddress.parse(found, _tls_files(config))


def given_broker_address(
    config: PlatformConfig, url: str | None = None, *, environ: Mapping[str, str] = os.environ
) -> BrokerAddress | None:
    """Return where a broker is that others look after, None where nobody has given one; raises as above."""
    found = _first_of(url, environ) or _configured(config)
    return BrokerAddress.parse(found, _tls_files(config)) if found else None


def _first_of(url: str | None, environ: Mapping[str, str]) -> str | None:
    found = url or environ.get(VARIABLE)
    file = environ.get(FILE_VARIABLE)
    if found or not file:
        return found
    return _read(Path(file), FILE_VARIABLE)


def _configured(config: PlatformConfig) -> str | None:
    file = config.broker.url_file
    return config.broker.url if file is None else _read(file, "broker.url_file")


def _read(file: Path, key: str) -> str:
    try:
        text = read_url_file(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"cannot be read: {reason}", key=key, value=str(file)) from None
    if not text:
        raise ConfigError("is empty", key=key, value=str(file), remedy="write the broker's URL into it")
    return text


def _tls_files(config: PlatformConfig) -> TlsFiles:
    return TlsFiles(config.broker.ca_file, config.broker.cert_file, config.broker.key_file)
