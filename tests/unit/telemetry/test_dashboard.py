"""The dashboard is what Grafana expects, has every metric, and leaves out what the systems do not have."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from std_daq.telemetry.grafana.dashboard import make_dashboard
from std_daq.telemetry.metric_catalogue import described_metrics

IMAGES = {"assembler", "h5-writer", "udp-recv", "writer-agent"}


def panels_of(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def lost_keys(before: object, after: object, place: str = "") -> Iterator[str]:
    """Yield where something of one document is not in another."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{place}.{key}"
            else:
                yield from lost_keys(value, after[key], f"{place}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        assert len(before) == len(after), place
        for index, value in enumerate(before):
            yield from lost_keys(value, after[index], f"{place}[{index}]")
    elif before != after:
        yield f"{place}: {before!r} became {after!r}"


def test_grafana_knows_every_key() -> None:
    """The model is that of Grafana's own library: what it does not know is lost when it reads the dashboard."""
    register_default_plugins()
    dashboard = make_dashboard("std-daq")
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    # Options of annotations that are those of the data source.
    own = {f".annotations.list[0].{key}" for key in ("titleFormat", "textFormat")}
    assert set(lost_keys(dashboard, read)) == own


def test_ids_are_unique_and_panels_do_not_overlap() -> None:
    dashboard = make_dashboard("std-daq")
    ids = [panel["id"] for panel in panels_of(dashboard)]
    assert len(ids) == len(set(ids))
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_user_chooses_the_data_source_detectors_and_servers() -> None:
    dashboard = make_dashboard("std-daq")
    assert [one["name"] for one in dashboard["templating"]["list"]] == ["datasource", "detector", "server"]
    for panel in panels_of(dashboard):
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert 'detector=~"$detector"' in target["expr"]
            assert "$server" in target["expr"]


def test_every_metric_is_in_a_panel_with_its_meaning() -> None:
    panels = list(panels_of(make_dashboard("std-daq")))
    text = "\n".join(target["expr"] for panel in panels for target in panel.get("targets", ()))
    assert {name for name in described_metrics() if name not in text} == {"daq_build_info"}
    assert any(
        panel.get("description", "").startswith("`daq_udp_packets_received_total`: packets that the kernel delivered")
        for panel in panels
    )


@pytest.mark.parametrize("row", ["Replication", "Photon simulation", "Chamber", "More of sim-worker"])
def test_rows_of_services_that_a_system_does_not_have_are_left_out(row: str) -> None:
    def rows(dashboard: Mapping[str, Any]) -> list[str]:
        return [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]

    assert row in rows(make_dashboard("std-daq"))
    assert row not in rows(make_dashboard("std-daq", IMAGES))
    assert {"Reception", "Assembly", "Writing", "Disk"} <= set(rows(make_dashboard("std-daq", IMAGES)))
