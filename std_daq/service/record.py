"""Service records: small files in the runtime directory by which commands find running services.

A process holds a lock on its record as long as it lives. The lock is valid in every container that shares the
directory; a process id would be valid in one container only. Beside the record is a Unix socket of the endpoint, which
works between these containers even if they are in different networks.
"""

import fcntl
import json
import os
import secrets
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from std_daq.config.paths import check_runtime_dir, runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """The record of one running service.

    Attributes
    ----------
    instance
        Name of the process, unique among the services of the detector.
    host
        Name of the machine or container.
    pid
        Process id on that host.
    url
        URL of the endpoint.
    started_ns
        Start of the process, in nanoseconds since 1970.
    socket
        Unix socket of the endpoint.
    """

    instance: str
    host: str
    pid: int
    url: str
    started_ns: int
    socket: Path


class OwnRecord:
    """The record of this process; the constructor writes it, and `remove` removes it.

    Parameters
    ----------
    config
        Configuration of the system; its runtime directory must exist.
    instance
        Name of this process, unique among the services of the detector.
    url
        URL of the endpoint.

    Raises
    ------
    ConfigError
        The record cannot be written.
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
        # A process in another container that shares the directory may have the same process id.
        making = self._path.with_suffix(f".{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")
        document = {
            "instance": instance,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "url": url,
            "started_ns": time.time_ns(),
        }
        with ExitStack() as stack:
            file = stack.enter_context(making.open("x"))
            stack.callback(making.unlink, missing_ok=True)
            # Locked before it gets its name: a reader takes an unlocked record for that of a process that has ended.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(document))
            file.flush()
            making.rename(self._path)
            stack.pop_all()
        return file

    def remove(self) -> None:
        """Remove the record, unless a later process has already replaced it with its own."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                self._path.unlink()
        self._file.close()


def endpoint_socket(config: PlatformConfig, instance: str) -> Path:
    """Return the path of the Unix socket of a service's endpoint; creates the directory.

    Raises
    ------
    ConfigError
        The directory cannot be created, or this user may not write there.
    """
    directory = _records_dir(config)
    try:
        directory.mkdir(mode=0o770, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot be created: {error.strerror}", key="runtime_dir", value=str(directory)) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(f"user {os.geteuid()} may not write here", key="runtime_dir", value=str(directory))
    return directory / f"{instance}.sock"


def read_records(config: PlatformConfig) -> list[ServiceRecord]:
    """Return the records of the services that run, sorted by instance name.

    Raises
    ------
    ConfigError
        The runtime directory is another user's.
    """
    check_runtime_dir(config)
    records = (_read(path) for path in sorted(_records_dir(config).glob("*.json")))
    return [record for record in records if record is not None]


def _read(path: Path) -> ServiceRecord | None:
    """Return the record in a file, or None if its process has ended or the file is not a record."""
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
