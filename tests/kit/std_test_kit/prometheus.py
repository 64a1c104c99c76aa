"""PrometheusServer: the Prometheus of the machine, for one test; and the queries of a dashboard as it takes them."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from std_test_kit.free_ports import free_tcp_port

_START_TIMEOUT_S = 30.0


class PrometheusServer:
    """A Prometheus on loopback that scrapes every second; a context manager.

    Parameters
    ----------
    folder
        With ``prometheus.yml``, as ``std-daq prometheus`` writes it; its data go there, too.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("prometheus")
        assert program, "prometheus is missing: install Debian's package, or run scripts/test, which does it"
        main = folder / "prometheus.yml"
        main.write_text(main.read_text().replace("scrape_interval: 5s", "scrape_interval: 1s"))
        self._address = f"127.0.0.1:{free_tcp_port()}"
        self._command = [
            program,
            f"--config.file={main}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._address}",
        ]
        self._log = folder / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=1).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.__exit__(None, None, None)
                    raise RuntimeError(f"Prometheus does not start:\n{self._log.read_text()}") from None
                time.sleep(0.1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of a query: ``metric`` with the labels, ``value`` with time and value.

        Raises
        ------
        ValueError
            Prometheus does not understand the query.
        """
        found: list[dict[str, Any]] = self._ask("query", query=expression)
        return found

    def label_values(self, label: str, of: str) -> list[str]:
        """Return the values of a label of the series that match a selector."""
        found: list[str] = self._ask(f"label/{label}/values", **{"match[]": of})
        return found

    def _ask(self, path: str, **parameters: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{parameters}: {json.load(error)}") from None
        return found["result"] if isinstance(found, dict) else found


def queries_of(
    dashboard: Mapping[str, Any], interval: str, detector: str = ".*", server: str = ".*"
) -> Iterator[tuple[str, str]]:
    """Yield each query of a dashboard with the name of its row and panel, with the variables filled in."""
    row = ""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        for one in panel["panels"] if panel["type"] == "row" else [panel]:
            for target in one["targets"]:
                text = target["expr"].replace("$detector", detector).replace("$server", server)
                yield f"{row}: {one['title']} {target['refId']}", text.replace("$__rate_interval", interval)
