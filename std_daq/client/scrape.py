"""Reads the metrics and the readiness of one service from its endpoint."""

import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from std_daq.telemetry.unix_http import UnixConnection

TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a metric: its name as at the endpoint (counters end in ``_total``), labels and value."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """The answer of a service.

    Parameters
    ----------
    is_answering
        Whether the service answered.
    is_ready, reason
        The answer of /health/ready; the reason is empty if the service is ready.
    samples
        The samples of all metrics.
    """

    is_answering: bool
    is_ready: bool = False
    reason: str = ""
    samples: tuple[Sample, ...] = ()

    def total(self, name: str) -> float:
        """Return the sum of a metric over all its labels, or 0 if the service does not have the metric."""
        return sum(sample.value for sample in self.samples if sample.name == name)

    def has(self, name: str) -> bool:
        """Return whether the service has a metric."""
        return any(sample.name == name for sample in self.samples)

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Return the sum of a metric for each value of a label."""
        sums: dict[str, float] = {}
        for sample in self.samples:
            if sample.name == name and label in sample.labels:
                sums[sample.labels[label]] = sums.get(sample.labels[label], 0.0) + sample.value
        return sums


def scrape(socket: Path, timeout_s: float = TIMEOUT_S) -> Scrape:
    """Read the endpoint of a service through its Unix socket; on any error, the result has ``is_answering`` False."""
    connection = UnixConnection(socket, timeout_s)
    try:
        status, health = _get(connection, "/health/ready")
        _, text = _get(connection, "/metrics")
        is_ready = status == HTTPStatus.OK
        return Scrape(True, is_ready, "" if is_ready else _reason(health), tuple(parse_samples(text)))
    except (OSError, http.client.HTTPException, ValueError):
        return Scrape(is_answering=False)
    finally:
        connection.close()


def read_warnings(socket: Path, timeout_s: float = TIMEOUT_S) -> list[dict[str, str]]:
    """Return the last warnings that a service has logged, the oldest first; none if it does not answer."""
    connection = UnixConnection(socket, timeout_s)
    try:
        status, text = _get(connection, "/warnings")
        lines = json.loads(text) if status == HTTPStatus.OK else []
        return [{str(key): str(value) for key, value in line.items()} for line in lines]
    except (OSError, http.client.HTTPException, ValueError, AttributeError, TypeError, RecursionError):
        return []
    finally:
        connection.close()


def read_page(socket: Path, path: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any] | None:
    """Return a page that a service offers beside metrics and health; None if it does not answer, or has none such."""
    connection = UnixConnection(socket, timeout_s)
    try:
        status, text = _get(connection, path)
        page = json.loads(text) if status == HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()
    return page if isinstance(page, dict) else None


def parse_samples(text: str) -> Iterator[Sample]:
    """Yield the samples of a text in the Prometheus format; raises ValueError if the text has another format."""
    for family in text_string_to_metric_families(text):
        yield from (Sample(sample.name, sample.labels, sample.value) for sample in family.samples)


def merge_by_label(scrapes: Iterable[Scrape], name: str, label: str) -> dict[str, float]:
    """Return the sum of a metric over several services, for each value of a label."""
    sums: dict[str, float] = {}
    for one in scrapes:
        for key, value in one.by_label(name, label).items():
            sums[key] = sums.get(key, 0.0) + value
    return sums


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


def _reason(health: str) -> str:
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        return str(json.loads(health)["reason"])
    return ""
