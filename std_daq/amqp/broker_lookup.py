"""Which broker a detector uses; services and commands look for its URL in the same places, in the same order."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from std_daq.amqp.address import FILE_VARIABLE, VARIABLE, BrokerAddress, BrokerTlsFiles
from std_daq.amqp.url_file import read_url_file
from std_daq.config.paths import broker_url_file, runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.config.up_lock import running_up
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
    found = _first_of(url, environ) or _of_up(config) or _configured(config)
    if found is None:
        raise BrokerError(
            f"no broker is known for {config.name}: is 'std-daq up' running? None runs in {runtime_dir(config)}. Start "
            f"it, give a URL, set {VARIABLE} or {FILE_VARIABLE}, or set broker.url or broker.url_file"
        )
    return _address(config, found)


def given_broker_address(
    config: PlatformConfig, url: str | None = None, *, environ: Mapping[str, str] = os.environ
) -> BrokerAddress | None:
    """Return the address of a broker that is run outside std-daq; None if nobody has given one.

    The places and the errors are those of `broker_address_of`, without the file of ``std-daq up``.
    """
    found = _first_of(url, environ) or _configured(config)
    return None if found is None else _address(config, found)


@dataclass(frozen=True, slots=True)
class _Found:
    """URLs, and who gives them."""

    urls: str
    source: str


def _first_of(url: str | None, environ: Mapping[str, str]) -> _Found | None:
    if url:
        return _Found(url, "--broker-url")
    if environ.get(VARIABLE):
        return _Found(environ[VARIABLE], f"the variable {VARIABLE}")
    file = environ.get(FILE_VARIABLE)
    return _Found(_read(Path(file), FILE_VARIABLE), f"{file}, which {FILE_VARIABLE} names") if file else None


def _of_up(config: PlatformConfig) -> _Found | None:
    """Return what a running ``std-daq up`` has written; what one that has ended has left does not count."""
    file = broker_url_file(config)
    if running_up(config) is None or not file.is_file():
        return None
    urls = read_url_file(file)
    return _Found(urls, "std-daq up") if urls else None


def _configured(config: PlatformConfig) -> _Found | None:
    file = config.broker.url_file
    if file is not None:
        return _Found(_read(file, "broker.url_file"), f"{file}, which broker.url_file names")
    return None if config.broker.url is None else _Found(config.broker.url, "broker.url")


def _read(file: Path, key: str) -> str:
    try:
        text = read_url_file(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot be read: {reason}", key=key, value=str(file)) from None
    if not text:
        raise ConfigError("is empty", key=key, value=str(file), remedy="write the broker's URL into it")
    return text


def _address(config: PlatformConfig, found: _Found) -> BrokerAddress:
    tls = BrokerTlsFiles(config.broker.ca_file, config.broker.cert_file, config.broker.key_file)
    return BrokerAddress.parse(found.urls, tls, found.source)
