"""BuilderProcess: ``std-event-builder`` as a real process."""

import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from std_daq.client.scrape import Scrape, scrape
from std_daq.service.record import ServiceRecord, read_records
from std_daq.tpc.config import TpcConfig
from std_test_kit.wait import wait_until

READY_WITHIN_S = 90.0  # on a machine that does much else, and may have to compile


def tpc_document(shm_dir: Path, runtime_dir: Path, exporters: list[str], **keys: Any) -> dict[str, Any]:
    """Return a configuration of a chamber without a channel map."""
    return {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": exporters,
        "pads": {"electronics": None},
        "boards": "topology",
        "builder": {"ram_buffer_gb": 0.15},
        "shared_memory": {"directory": str(shm_dir)},
        "runtime_dir": str(runtime_dir),
        **keys,
    }


class BuilderProcess:
    """The process, which may be killed and started again.

    Parameters
    ----------
    folder
        For the configuration and the log.
    document
        The configuration.
    """

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.file = folder / "tpc.json"
        self.file.write_text(json.dumps(document))
        self.config = TpcConfig.model_validate(document)
        self._log = folder / "event-builder.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the process has logged."""
        return self._log.read_text()

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "std_event_builder", "--config", str(self.file)]
            self._process = subprocess.Popen(command, stderr=log)
        wait_until(lambda: self._is_alive() and self.scrape().is_ready, READY_WITHIN_S, lambda: self.log)

    def end(self, number: signal.Signals = signal.SIGTERM, within_s: float = 10.0) -> tuple[int, float]:
        """Send a signal, and return the exit code and how long the process took to end."""
        assert self._process is not None
        began_s = time.monotonic()
        self._process.send_signal(number)
        code = self._process.wait(within_s)
        return code, time.monotonic() - began_s

    def close(self) -> None:
        """Kill the process if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def scrape(self) -> Scrape:
        """Return the metrics of the process."""
        record = self._record()
        return Scrape(is_answering=False) if record is None else scrape(record.socket)

    def outcomes(self) -> dict[str, dict[str, int]]:
        """Return how many frames of each exporter had each outcome."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for sample in self.scrape().samples:
            if sample.name == "daq_builder_frames_total":
                found[sample.labels["exporter"]][sample.labels["outcome"]] = int(sample.value)
        return found

    def _record(self) -> ServiceRecord | None:
        return next((record for record in read_records(self.config) if record.instance == "event-builder"), None)

    def _is_alive(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return True
