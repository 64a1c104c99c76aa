"""The dashboard as the JSON that Grafana imports."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count
from typing import Any

from std_daq.telemetry.grafana.queries import PrometheusQuery, standard_queries, standard_unit
from std_daq.telemetry.grafana.rows import ROWS, ComputedPanel, MetricsPanel, PanelRow
from std_daq.telemetry.metric_catalogue import DescribedMetric, described_metrics

UID = "std-daq"
# Of Grafana 10.0; later versions convert it when they read it.
SCHEMA_VERSION = 36
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_N_COLUMNS = 24
_WIDTH, _HEIGHT = 6, 7


def make_dashboard(title: str, services: Collection[str] | None = None) -> dict[str, Any]:
    """Return the dashboard.

    Parameters
    ----------
    title
        Its title.
    services
        Names of the services that are watched, as ``udp-recv``; rows and panels of others are left out. None: all.
    """
    known = {
        name: metric
        for name, metric in described_metrics().items()
        if services is None or not metric.services or not set(services).isdisjoint(metric.services)
    }
    layout = _Layout()
    for row in ROWS:
        panels = [panel for panel in row.panels if _is_known(panel, known)]
        if panels:
            layout.add_row(row.title, (_panel(panel, known) for panel in panels))
    for row in further_rows(known, services):
        layout.add_row(row.title, (_panel(panel, known) for panel in row.panels), is_collapsed=True)
    return {
        "uid": UID,
        "title": title,
        "tags": ["std-daq"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": [_alerts()]},
        "panels": layout.panels,
    }


def further_rows(known: dict[str, DescribedMetric], services: Collection[str] | None) -> Iterator[PanelRow]:
    """Yield a row for each service with those of its metrics that are in no panel of `ROWS`."""
    shown = {name for row in ROWS for panel in row.panels for name in _metrics_of(panel)}
    left = [metric for name, metric in known.items() if name not in shown and metric.services]
    names = sorted({service for metric in left for service in metric.services})
    for service in names:
        panels = tuple(MetricsPanel(metric.name, (metric.name,)) for metric in left if metric.services[0] == service)
        if panels and (services is None or service in services):
            yield PanelRow(f"More of {service}", panels)


def _metrics_of(panel: MetricsPanel | ComputedPanel) -> set[str]:
    if isinstance(panel, MetricsPanel):
        return set(panel.metrics)
    return {name for query in panel.queries for name in query.metrics}


def _is_known(panel: MetricsPanel | ComputedPanel, known: dict[str, DescribedMetric]) -> bool:
    """Return whether the panel has something to show: one of its metrics, or all that its own queries compare."""
    if isinstance(panel, MetricsPanel):
        return any(name in known for name in panel.metrics)
    return all(name in known for name in _metrics_of(panel) if name.startswith("daq_"))


def _panel(panel: MetricsPanel | ComputedPanel, known: dict[str, DescribedMetric]) -> dict[str, Any]:
    if isinstance(panel, ComputedPanel):
        return _time_series(panel.title, panel.unit, panel.queries, panel.meaning)
    metrics = [known[name] for name in panel.metrics if name in known]
    queries = [query for metric in metrics for query in _named(metric, panel.by, is_alone=len(metrics) == 1)]
    meaning = "\n\n".join(f"`{metric.name}`: {metric.meaning}" for metric in metrics)
    return _time_series(panel.title, panel.unit or standard_unit(metrics[0]), queries, meaning)


def _named(metric: DescribedMetric, by: tuple[str, ...] | None, *, is_alone: bool) -> Iterator[PrometheusQuery]:
    """Yield the standard queries of a metric; beside other metrics, its series are called by the metric as well."""
    kept = None if by is None else tuple(label for label in by if label in metric.labels)
    for query in standard_queries(metric, kept):
        yield (
            query
            if is_alone
            else PrometheusQuery(query.expression, f"{query.legend} {metric.name.removeprefix('daq_')}")
        )


def _time_series(title: str, unit: str, queries: Iterable[PrometheusQuery], meaning: str) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "expr": query.text(),
            "legendFormat": query.legend,
            "range": True,
        }
        for index, query in enumerate(queries)
    ]
    return {
        "type": "timeseries",
        "title": title,
        "description": meaning,
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": {"fillOpacity": 8, "showPoints": "auto"}},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


class _Layout:
    """Places panels side by side, below the title of their row."""

    def __init__(self) -> None:
        self.panels: list[dict[str, Any]] = []
        self._ids: Callable[[], int] = count(1).__next__
        self._y = 0

    def add_row(self, title: str, panels: Iterable[dict[str, Any]], *, is_collapsed: bool = False) -> None:
        """Add a row; the panels of a collapsed one are shown when somebody opens it."""
        row: dict[str, Any] = {
            "type": "row",
            "id": self._ids(),
            "title": title,
            "collapsed": is_collapsed,
            "gridPos": {"h": 1, "w": _N_COLUMNS, "x": 0, "y": self._y},
            "panels": [],
        }
        placed = []
        for index, panel in enumerate(panels):
            line, place = divmod(index * _WIDTH, _N_COLUMNS)
            position = {"h": _HEIGHT, "w": _WIDTH, "x": place, "y": self._y + 1 + line * _HEIGHT}
            placed.append({"id": self._ids(), "gridPos": position, **panel})
        if is_collapsed:
            self.panels.append({**row, "panels": placed})
            self._y += 1
        else:
            self.panels += [row, *placed]
            self._y = placed[-1]["gridPos"]["y"] + _HEIGHT


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0},
        _of_label("detector", "Detector", "label_values(daq_ready, detector)"),
        _of_label("server", "Server", 'label_values(daq_ready{detector=~"$detector"}, instance)', "/^(.+):[0-9]+$/"),
    ]


def _of_label(name: str, label: str, query: str, pattern: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "regex": pattern,
        "refresh": 2,  # whenever the range of time changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "hide": 0,
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",detector=~"$detector"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{detector}} {{service}}",
    }
