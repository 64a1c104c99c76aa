"""ConfigFile: the file of a detector's configuration, changed in steps of which each is kept."""

import errno
import json
import os
import threading
import time
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from std_daq.config.load import check_config, read_document
from std_daq.config.platform import PlatformConfig
from std_daq.errors import ConfigError
from std_daq.folders.new_file import NewFile
from std_daq.service.registry import check_wanted, wanted_instances
from std_web.detectors import WatchedDetector
from std_web.state.config_document import HIDDEN, shown_document

VERSIONS = "versions"
_OWN_USER = "writer_user_id"
_NAMES = ("detector_name", "name")


class ConfigFile:
    """The file of one detector; it may be used in any thread.

    Parameters
    ----------
    detector
        The detector.
    """

    def __init__(self, detector: WatchedDetector) -> None:
        self._detector = detector
        self._lock = threading.Lock()

    def read(self) -> dict[str, Any]:
        """Return what the file says; raises ConfigError."""
        return read_document(self._detector.file)

    def change(self, changes: Mapping[str, Any]) -> PlatformConfig:
        """Change keys, and keep the version before in the folder ``versions`` beside the file.

        Parameters
        ----------
        changes
            Keys at the top level with their new values; None removes a key.

        Returns
        -------
        The new configuration.

        Raises
        ------
        ConfigError
            The result is no configuration, services would refuse to start with it, or it has another name.
        OSError
            A file cannot be written.
        """
        file = self._detector.file
        with self._lock:
            before = self.read()
            document = _merged(before, changes)
            config: PlatformConfig = check_config(document, self._detector.kind.model, file)
            if config.name != self._detector.name:
                raise ConfigError(
                    "the name cannot be changed while the services run: their rings and sockets have it",
                    key=next((name for name in _NAMES if name in document), "name"),
                    value=config.name,
                )
            _check_services(config)
            if document != before:
                self._keep_version(file)
                _replace(file, f"{json.dumps(document, indent=2)}\n".encode())
            return config

    @staticmethod
    def _keep_version(file: Path) -> None:
        folder = file.parent / VERSIONS
        folder.mkdir(exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        content = file.read_bytes()
        for attempt in range(1000):
            more = f"-{attempt}" if attempt else ""
            try:
                with NewFile(folder / f"{file.stem}-{stamp}{more}{file.suffix}") as new:
                    new.write(content)
                    new.appear()
                return
            except FileExistsError:
                continue
        raise FileExistsError(errno.EEXIST, "too many versions within one second", str(folder))


def _merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    document = dict(before)
    for key, value in changes.items():
        is_service_user = key == _OWN_USER and isinstance(value, int) and value < 1
        if value is None or is_service_user:  # less than 1: the user of the service
            document.pop(key, None)
        else:
            document[key] = _unhidden(value, before.get(key))
    return document


def _unhidden(value: Any, before: Any) -> Any:
    """Return a value in which what was hidden from the client is as before."""
    if value == HIDDEN:
        return before
    if isinstance(value, dict) and isinstance(before, dict):
        return {key: _unhidden(inner, before.get(key)) for key, inner in value.items()}
    if isinstance(value, list) and isinstance(before, list):
        return [_unhidden(*pair) for pair in zip_longest(value, before[: len(value)])]
    return value


def _check_services(config: PlatformConfig) -> None:
    for result in check_wanted(config, wanted_instances(config)):
        # Addresses that are in use are those of the services that run.
        if result.error is not None and not result.check.is_part_of_start:
            raise result.error


def _replace(file: Path, content: bytes) -> None:
    """Write the file in one step; or over its old content where it is mounted into a container by itself."""
    try:
        with NewFile(file, mode=file.stat().st_mode & 0o777) as new:
            new.write(content)
            new.replace()
    except OSError as error:
        if error.errno not in {errno.EBUSY, errno.EROFS, errno.EACCES, errno.EPERM} or not os.access(file, os.W_OK):
            raise
        with file.open("r+b") as opened:
            opened.write(content)
            opened.truncate()


def older_document(document: Mapping[str, Any], config: PlatformConfig) -> dict[str, Any]:
    """Return a configuration with the keys that users of the older interface expect; secrets are hidden."""
    shown = {"submodule_info": {}, **shown_document(document)}
    shown.setdefault(_OWN_USER, -1)
    positions = getattr(config, "module_positions", {})
    shown["module_positions"] = {str(module): list(corners) for module, corners in positions.items()}
    return shown
