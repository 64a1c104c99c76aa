"""Queries of Prometheus for metrics of std-daq: what is asked of a metric follows from its type.

In a query, ``{}`` behind the name of a metric stands for the choice of detector and server, which Grafana fills in.
"""

import re
from dataclasses import dataclass

from std_daq.telemetry.metric_catalogue import DescribedMetric

CHOICE = '{detector=~"$detector",instance=~"$server(:[0-9]+)?"}'
NAME = re.compile(r"\b(?:daq_\w+|process_\w+|up)\b(?=\{)")
_RATE = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class PrometheusQuery:
    """One query of a panel.

    Attributes
    ----------
    expression
        In the language of Prometheus, with ``{}`` for the choice.
    legend
        Name of each series, in the template of Grafana, such as ``{{detector}} module {{module}}``.
    """

    expression: str
    legend: str

    @property
    def metrics(self) -> set[str]:
        """Names of the metrics that the query reads."""
        return set(NAME.findall(self.expression))

    def text(self) -> str:
        """Return the query as Grafana takes it."""
        return self.expression.replace("{}", CHOICE)


def standard_queries(metric: DescribedMetric, by: tuple[str, ...] | None = None) -> tuple[PrometheusQuery, ...]:
    """Return what is usually asked of a metric.

    A counter is shown as events per second. Of a histogram of times, the median and the value below which 99 % lie are
    shown. A gauge is shown as it is.

    Parameters
    ----------
    metric
        The metric.
    by
        Labels that tell series apart, beside detector, service and place; what else differs is added up, of a gauge
        the largest counts. None: all of its labels.
    """
    labels = ("detector", "service", *(metric.labels if by is None else by))
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    kept = ", ".join((*labels, "instance"))
    if metric.type == "counter":
        return (PrometheusQuery(f"sum by ({kept}) (rate({metric.name}{{}}{_RATE}))", legend),)
    if metric.type == "histogram":
        rates = f"sum by (le, {kept}) (rate({metric.name}_bucket{{}}{_RATE}))"
        return tuple(
            PrometheusQuery(f"histogram_quantile({part}, {rates})", f"{legend} {words}")
            for part, words in ((0.5, "median"), (0.99, "99 %"))
        )
    return (PrometheusQuery(f"max by ({kept}) ({metric.name}{{}})", legend),)


def standard_unit(metric: DescribedMetric) -> str:
    """Return the unit of the standard queries, as Grafana calls it, from the name of the metric."""
    name = metric.name.removesuffix("_total")
    if metric.type == "counter":
        ends = {"_bytes": "Bps", "_packets": "pps", "_seconds": "percentunit"}
        return next((unit for end, unit in ends.items() if name.endswith(end)), "cps")
    ends = {"_bytes": "bytes", "_ratio": "percentunit", "_timestamp_seconds": "dateTimeFromNow", "_seconds": "s"}
    return next((unit for end, unit in ends.items() if name.endswith(end)), "none")
