"""Service records: small files in the runtime directory by which the commands find running services."""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from std_daq.config.model import DetectorConfig
from std_daq.config.paths import runtime_dir


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One running service: its instance name, process and the URL of its endpoint."""

    instance: str
    pid: int
    url: str
    started_ns: int

    @property
    def is_running(self) -> bool:
        """Whether the process is still there."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def write_record(config: DetectorConfig, instance: str, url: str) -> Path:
    """Leave the record of this process; the runtime directory must exist."""
    directory = _records_dir(config)
    directory.mkdir(mode=0o770, exist_ok=True)
    path = directory / f"{instance}.json"
    record = ServiceRecord(instance, os.getpid(), url, time.time_ns())
    making = path.with_suffix(f".{os.getpid()}")
    making.write_text(json.dumps(asdict(record)))
    making.rename(path)
    return path


def remove_record(path: Path) -> None:
    """Remove the record of this process, unless a successor has already put its own there."""
    with suppress(OSError, ValueError, KeyError):
        if json.loads(path.read_text())["pid"] == os.getpid():
            path.unlink()


def read_records(config: DetectorConfig) -> list[ServiceRecord]:
    """Return the records of the services that run, by instance name."""
    records = []
    for path in sorted(_records_dir(config).glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            records.append(ServiceRecord(**json.loads(path.read_text())))
    return [record for record in records if record.is_running]


def _records_dir(config: DetectorConfig) -> Path:
    return runtime_dir(config) / "services"
