"""Service records: small files in the runtime directory by which the commands find running services.

A record is locked by its process for as long as that lives. Unlike a process id this tells the truth in every
container that shares the directory, and beside the record lies a Unix socket of the service's endpoint, which
answers there, too, whatever network each container is in.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from std_daq.config.paths import runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One running service.

    Attributes
    ----------
    instance
        Its name among the detector's services.
    host
        Name of its machine or container.
    pid
        Its process there.
    url
        Its endpoint.
    started_ns
        When it started, since 1970.
    socket
        Unix socket of its endpoint.
    """

    instance: str
    host: str
    pid: int
    url: str
    started_ns: int
    socket: Path


class OwnRecord:
    """The record of this process, from now until it is removed.

    Parameters
    ----------
    config
        The detector; its runtime directory must exist.
    instance
        Name of this process among the detector's services.
    url
        Its endpoint.

    Raises
    ------
    ConfigError
        When it cannot be written.
    """

    def __init__(self, config: PlatformConfig, instance: str, url: str) -> None:
        self._path = _records_dir(config) / f"{instance}.json"
        try:
            self._file = self._write(instance, url)
        except OSError as error:
            raise ConfigError(
                f"the record cannot be written: {error.strerror}", key="runtime_dir", value=str(self._path)
            ) from None

    def _write(self, instance: str, url: str) -> IO[str]:
        # In another container that shares the directory, another process may have the same number.
        making = self._path.with_suffix(f".{socket.gethostname()}-{os.getpid()}")
        document = {
            "instance": instance,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "url": url,
            "started_ns": time.time_ns(),
        }
        with ExitStack() as stack:
            file = stack.enter_context(making.open("w"))
            stack.callback(making.unlink, missing_ok=True)
            # Locked before it is seen, so that nobody takes it for one that was left.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(document))
            file.flush()
            making.rename(self._path)
            stack.pop_all()
        return file

    def remove(self) -> None:
        """Remove the record, unless a successor has already put its own there."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                self._path.unlink()
        self._file.close()


def endpoint_socket(config: PlatformConfig, instance: str) -> Path:
    """Return where the endpoint of a service has its Unix socket; makes the directory.

    Raises
    ------
    ConfigError
        When this user may not write there.
    """
    directory = _records_dir(config)
    try:
        directory.mkdir(mode=0o770, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}", key="runtime_dir", value=str(directory)) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(f"user {os.geteuid()} may not write here", key="runtime_dir", value=str(directory))
    return directory / f"{instance}.sock"


def read_records(config: PlatformConfig) -> list[ServiceRecord]:
    """Return the records of the services that run, by instance name."""
    records = (_read(path) for path in sorted(_records_dir(config).glob("*.json")))
    return [record for record in records if record is not None]


def _read(path: Path) -> ServiceRecord | None:
    """Read a record; None where its process has ended, or it is none."""
    with suppress(OSError, ValueError, TypeError), path.open() as file:
        if _is_locked(file.fileno()):
            return ServiceRecord(**json.load(file), socket=path.with_suffix(".sock"))
    return None


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _records_dir(config: PlatformConfig) -> Path:
    return runtime_dir(config) / "services"
