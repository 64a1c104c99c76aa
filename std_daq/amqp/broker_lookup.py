"""Which broker a detector uses; services and commands look for its URL in the same places, in the same order."""

import os
from collections.abc import Mapping
from pathlib import Path

from std_daq.amqp.address import FILE_VARIABLE, VARIABLE, BrokerAddress, BrokerTlsFiles
from std_daq.amqp.url_file import read_url_file
from std_daq.config.paths import broker_url_file
from std_daq.config.platform import PlatformConfig
from std_daq.errors import BrokerError, ConfigError


def broker_address_of(
    config: PlatformConfig, url: str | None = None, *, environ: Mapping[str, str] = os.environ
) -> BrokerAddress:
    """Return the address of a detector's broker.

    The first of these that exists is used:

    1. the URL that is passed to this function;
    2. the environment: the variable STD_DAQ_BROKER_URL, or the file that STD_DAQ_BROKER_URL_FILE names;
    3. the file that a running ``std-daq up`` keeps in the runtime directory;
    4. the configuration: the file that ``broker.url_file`` names, or ``broker.url``.

    Raises
    ------
    BrokerError
        None of them gives a URL; the message lists all ways to give one. Or the URL is not a broker's.
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
            f"{VARIABLE} or {FILE_VARIABLE}, or set broker.url or broker.url_file in its configuration (there is no "
            f"{left_by_up})"
        )
    return BrokerAddress.parse(found, _tls_files(config))


def given_broker_address(
    config: PlatformConfig, url: str | None = None, *, environ: Mapping[str, str] = os.environ
) -> BrokerAddress | None:
    """Return the address of a broker that is run outside std-daq; None if nobody has given one.

    The places and the errors are those of `broker_address_of`, without the file of ``std-daq up``.
    """
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
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot be read: {reason}", key=key, value=str(file)) from None
    if not text:
        raise ConfigError("is empty", key=key, value=str(file), remedy="write the broker's URL into it")
    return text


def _tls_files(config: PlatformConfig) -> BrokerTlsFiles:
    return BrokerTlsFiles(config.broker.ca_file, config.broker.cert_file, config.broker.key_file)
