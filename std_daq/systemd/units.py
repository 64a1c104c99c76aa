"""The units of a system: one for each process, and a target for all of them."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from std_daq.amqp.address import FILE_VARIABLE
from std_daq.config.platform import PlatformConfig
from std_daq.errors import EXIT_WRONG_CALL, ArgumentError, ConfigError
from std_daq.folders.owners import VARIABLE as TRUSTED_VARIABLE
from std_daq.service.host_access import HostAccess
from std_daq.service.registry import WantedInstance, wanted_instances
from std_daq.systemd.hardening import HOMES, hardening
from std_daq.systemd.unit_text import Lines, argument, literal, unit_text, word, words

RUNTIME = Path("/run/std-daq")
_STATE, _CACHE, _RUN = Path("/var/lib/std-daq"), Path("/var/cache/std-daq"), Path("/run")
_SHM = Path("/dev/shm")  # noqa: S108
_CREDENTIAL = "broker-url"
# The first start compiles, which takes a minute or two on a slow machine.
_START_TIMEOUT_S = 600
_WATCHDOG_S = 120


@dataclass(frozen=True, slots=True)
class UnitOptions:
    """What the configuration does not say.

    Parameters
    ----------
    user, group
        As whom the services run.
    broker_url_file
        File with the URL of the broker, which only root needs to be able to read; None: that of the configuration.
    client_url_file
        File with the URL for services that are clients of the broker, which only root needs to be able to read; None:
        TAG-client.url beside the other one.
    python
        Python of the installation.
    """

    user: str = "std-daq"
    group: str = "std-daq"
    broker_url_file: Path | None = None
    client_url_file: Path | None = None
    python: Path = Path(sys.executable)


def target_name(system: str) -> str:
    """Return the name of the target of a system."""
    return f"std-daq-{system}.target"


def mark(system: str) -> str:
    """Return the first line of the units of a system, by which they are known again; without ``#``."""
    return f"Unit of the system {system}, written by std-daq systemd. Changes belong into a drop-in: systemctl edit"


def units_of(config: PlatformConfig, file: Path, options: UnitOptions) -> dict[str, str]:
    """Return the units of a system: file name and text.

    Parameters
    ----------
    config
        The configuration.
    file
        Its file, as the services will find it.
    options
        What the configuration does not say.

    Raises
    ------
    ConfigError
        The configuration does not fit the installed services, or its names do not fit into the name of a unit.
    ArgumentError
        A service needs a broker, or is a client of it, and neither configuration nor options name its URL.
    """
    wanted = wanted_instances(config)
    names = [f"std-daq-{config.name}-{one.instance.name}.service" for one in wanted]
    parts = _Parts(config, file.absolute(), options, has_broker=any(one.service.needs_broker for one in wanted))
    units = {name: parts.service(one) for name, one in zip(names, wanted, strict=True)}
    units[target_name(config.name)] = parts.target(names)
    return units


class _Parts:
    """What the units of one system have in common."""

    def __init__(self, config: PlatformConfig, file: Path, options: UnitOptions, *, has_broker: bool) -> None:
        self._config = config
        self._has_broker = has_broker
        self._file = file
        self._options = options
        self._runtime = file.parent / (RUNTIME if config.runtime_dir is None else config.runtime_dir)
        paths = [str(file), str(options.python.parent), sys.base_prefix, *_paths_in(config.model_dump())]
        self._uses_homes = any(_is_in_home(path) for path in paths)

    def target(self, services: list[str]) -> str:
        """Return the target, which starts and ends all services together."""
        unit: Lines = [("Description", f"std-daq: {self._config.name}"), *(("Wants", name) for name in services)]
        return unit_text(mark(self._config.name), {"Unit": unit, "Install": [("WantedBy", "multi-user.target")]})

    def service(self, one: WantedInstance) -> str:
        """Return the unit of one process."""
        access = one.service.host_access(self._config)
        return unit_text(
            mark(self._config.name),
            {"Unit": self._unit(one, access), "Service": [*self._process(one, access), *self._bounds(one, access)]},
        )

    def _unit(self, one: WantedInstance, access: HostAccess) -> Iterator[tuple[str, str]]:
        yield "Description", literal(f"std-daq {self._config.name}: {one.instance.name}. {one.service.summary}")
        yield "PartOf", target_name(self._config.name)
        yield "Wants", "network-online.target"
        yield "After", "network-online.target" + (" rabbitmq-server.service" if self._uses_broker(one) else "")
        yield "RequiresMountsFor", words([self._file, *self._writes(access)])
        # Whatever ends a service, it is started again, without a limit; the other services go on.
        yield "StartLimitIntervalSec", "0"

    def _process(self, one: WantedInstance, access: HostAccess) -> Iterator[tuple[str, str]]:
        command = one.command(self._file)
        yield "Type", "notify"
        yield "NotifyAccess", "main"
        for folder in self._folders_to_make(access):
            owner = ["-o", self._options.user, "-g", self._options.group]
            line = ["/usr/bin/install", "-d", *owner, "-m", "0770", str(folder)]
            yield "ExecStartPre", "+" + " ".join(map(argument, line))
        line = [str(self._options.python), "-m", command.module, *command.arguments]
        yield "ExecStart", " ".join(map(argument, line))
        yield "Restart", "always"
        yield "RestartSec", "2"
        # What another start cannot mend: a wrong configuration, a missing library.
        yield "RestartPreventExitStatus", str(EXIT_WRONG_CALL)
        yield "TimeoutStartSec", str(_START_TIMEOUT_S)
        yield "WatchdogSec", str(_WATCHDOG_S)
        yield "WorkingDirectory", literal(str(self._file.parent))
        yield "LimitNOFILE", "65536"
        yield "OOMScoreAdjust", "-500"
        yield from self._user(access)
        for name, value in self._environment(one, access).items():
            yield "Environment", word(f"{name}={value}") if name != FILE_VARIABLE else f"{name}={value}"
        if self._uses_broker(one) and (url_file := self._url_file(one)) is not None:
            yield "LoadCredential", f"{_CREDENTIAL}:{literal(str(url_file))}"

    def _user(self, access: HostAccess) -> Iterator[tuple[str, str]]:
        yield "User", self._options.user if access.user_id is None else str(access.user_id)
        yield "Group", self._options.group
        if access.groups:
            yield "SupplementaryGroups", words(access.groups)
        # The rings outlive the service that made them.
        yield "RemoveIPC", "no"
        if access.user_id is not None:
            return
        # They belong to all services, and stay until the last one has ended.
        if self._is_runtime_of_systemd:
            yield "RuntimeDirectory", word(self._runtime.relative_to(_RUN))
            yield "RuntimeDirectoryMode", "0770"
            yield "RuntimeDirectoryPreserve", "yes"
        yield "CacheDirectory", _CACHE.name
        if any(path.is_relative_to(_STATE) for path in access.state):
            yield "StateDirectory", _STATE.name
            yield "StateDirectoryMode", "0750"

    def _environment(self, one: WantedInstance, access: HostAccess) -> dict[str, str]:
        environment = {"STD_DAQ_RUNTIME_DIR": str(RUNTIME), "NUMBA_CACHE_DIR": str(_CACHE)}
        if access.user_id is not None:
            environment[TRUSTED_VARIABLE] = self._options.user
        if self._uses_broker(one) and self._url_file(one) is not None:
            environment[FILE_VARIABLE] = f"%d/{_CREDENTIAL}"
        return environment

    def _bounds(self, one: WantedInstance, access: HostAccess) -> Iterator[tuple[str, str]]:
        ports = [*access.ports, self._config.metrics.ports.get(one.instance.name, 0)]
        yield from hardening(access, self._writable(access), uses_homes=self._uses_homes, ports=ports)

    def _writable(self, access: HostAccess) -> list[Path]:
        folders = [*self._writes(access), *self._ring_folders]
        folders += [path.parent for path in access.state if not path.is_relative_to(_STATE)]
        if access.user_id is not None or not self._is_runtime_of_systemd:
            folders.append(self._runtime)
        return folders

    def _writes(self, access: HostAccess) -> list[Path]:
        return [self._file.parent / folder for folder in access.writes]

    def _folders_to_make(self, access: HostAccess) -> Iterator[Path]:
        """Yield the folders in memory that are gone after each start of the machine."""
        yield from (folder for folder in self._ring_folders if folder.is_relative_to(_SHM))
        if self._is_runtime_of_systemd and access.user_id is not None:
            yield self._runtime

    @property
    def _ring_folders(self) -> list[Path]:
        folders = sorted({path.parent for path in self._config.ring_paths})
        return [folder for folder in folders if folder != _SHM]

    @property
    def _is_runtime_of_systemd(self) -> bool:
        return self._runtime.is_relative_to(_RUN) and self._runtime != _RUN

    def _uses_broker(self, one: WantedInstance) -> bool:
        return one.service.needs_broker or (one.service.is_broker_client and self._has_broker)

    def _url_file(self, one: WantedInstance) -> Path | None:
        """Return the file with the URL that a service gets as a credential; None: the configuration has the URL."""
        return self._broker_url_file() if one.service.needs_broker else self._client_url_file(one)

    def _broker_url_file(self) -> Path | None:
        broker = self._config.broker
        file = self._options.broker_url_file or broker.url_file
        if file is None and broker.url is None:
            raise ArgumentError(
                "--broker-url-file",
                f"no broker is known for {self._config.name}",
                remedy="name the file with its URL, as std-daq broker-setup makes it, or set broker.url_file",
            )
        return None if file is None else self._file.parent / file

    def _client_url_file(self, one: WantedInstance) -> Path | None:
        if self._options.client_url_file is not None:
            return self._options.client_url_file
        file = self._broker_url_file()
        if file is None:
            return None
        of_client = file.with_name(f"{self._config.tag}-client.url")
        try:
            is_there = of_client.is_file()
        except OSError:  # only root may look there
            is_there = True
        if not is_there:
            raise ArgumentError(
                "--client-url-file",
                f"{one.instance.name} of {self._config.name} is a client of the broker, and there is no {of_client}",
                remedy="name the file with the URL of a client, as std-daq broker-setup makes it",
            )
        return of_client


def check_names(units: dict[str, str], more: dict[str, str], file: Path) -> None:
    """Check that the units of two systems have different names.

    Raises
    ------
    ConfigError
        One name stands for two units.
    """
    for name in units.keys() & more.keys():
        raise ConfigError(
            f"another configuration has the unit {name}, too", file=file, remedy="give one of them another name"
        )


def _paths_in(value: Any) -> Iterator[str]:
    """Yield what may be a path in a configuration: also texts, as options of a detector are."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _paths_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _paths_in(part)
    elif isinstance(value, str | Path):
        yield str(value)


def _is_in_home(path: str) -> bool:
    """Return whether a path leads into a home directory, itself or what it links to."""
    return any(Path(one).is_relative_to(home) for one in (path, os.path.realpath(path)) for home in HOMES)
