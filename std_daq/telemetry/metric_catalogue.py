"""The catalogue of metrics: name, type, labels and meaning of each, as the pages of the services describe them.

The pages are the source. ``python -m std_test_kit.metric_pages`` copies their tables into ``metrics.json``, which is
installed with the package; a test compares both, and another one the pages with the registries of the services.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class DescribedMetric:
    """One metric.

    Attributes
    ----------
    name
        The name under which it is read; that of a counter ends in ``_total``.
    type
        ``counter``, ``gauge`` or ``histogram``.
    labels
        Names of its labels, in the order of the page.
    meaning
        What it counts or tells, as plain text.
    services
        Names of the services that show it; empty: all.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str
    services: tuple[str, ...]


@cache
def described_metrics() -> dict[str, DescribedMetric]:
    """Return all metrics of std-daq by name, in the order of the pages."""
    text = (files("std_daq.telemetry") / "metrics.json").read_bytes()
    metrics = TypeAdapter(list[DescribedMetric]).validate_json(text)
    return {metric.name: metric for metric in metrics}
