"""Asking one service for its metrics and whether it is ready."""

import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from std_daq.telemetry.unix_http import UnixConnection

TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of a service: name as on the wire (counters end in ``_total``), labels, value."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a service answered.

    Parameters
    ----------
    is_answering
        Whether it answered at all.
    is_ready, reason
        What its /health/ready says; the reason is empty when it is ready.
    samples
        Its metrics.
    """

    is_answering: bool
    is_ready: bool = False
    reason: str = ""
    samples: tuple[Sample, ...] = ()

    def total(self, name: str) -> float:
        """Return the sum over all labels, 0 where there is no such metric."""
        return sum(sample.value for sample in self.samples if sample.name == name)

    def has(self, name: str) -> bool:
        """Return whether the service has such a metric."""
        return any(sample.name == name for sample in self.samples)

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Return the sums for each value of a label."""
        sums: dict[str, float] = {}
        for sample in self.samples:
            if sample.name == name and label in sample.labels:
                sums[sample.labels[label]] = sums.get(sample.labels[label], 0.0) + sample.value
        return sums


def scrape(socket: Path, timeout_s: float = TIMEOUT_S) -> Scrape:
    """Ask the endpoint of a service at its Unix socket; whatever goes wrong makes an answer that says so."""
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


def parse_samples(text: str) -> Iterator[Sample]:
    """Yield the samples of Prometheus' text format; raises ValueError where it is not that."""
    for family in text_string_to_metric_families(text):
        yield from (Sample(sample.name, sample.labels, sample.value) for sample in family.samples)


def merge_by_label(scrapes: Iterable[Scrape], name: str, label: str) -> dict[str, float]:
    """Return the sums of several services for each value of a label."""
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
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(health)["reason"])
    return ""
