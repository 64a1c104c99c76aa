"""The rules for alerts, evaluated by promtool: two detectors on two servers; only the one with the fault is told."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(str(files("std_daq.telemetry"))) / "alerts.yml"
EG, JF = 'detector="EG",instance="daq-1:8080"', 'detector="JF",instance="daq-2:8080"'
STEADY, GROWING = "5x60", "0+100x60"

ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


@dataclass(frozen=True)
class Case:
    """What a rule sees of the detector with the fault and of the other one, each 15 s for 15 min; labels of the alert.

    ``bad`` and ``good`` have the series by name and labels, without those that all series of a target have.
    """

    bad: dict[str, str]
    good: dict[str, str]
    labels: dict[str, str]


def gauge(name: str, bad: str, good: str, **labels: str) -> Case:
    series = name + selector(labels)
    return Case({series: bad}, {series: good}, labels)


def selector(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def counter(name: str, **labels: str) -> Case:
    return gauge(name, GROWING, STEADY, **labels)


CASES = {
    "DaqServiceDown": [gauge("up", "1x20 0x40", "1x60", job="std-daq", service="assembler")],
    "DaqServiceNotReady": [gauge("daq_ready", "1x20 0x40", "1x60", service="h5-writer-0")],
    "DaqServiceRestarts": [
        gauge("process_start_time_seconds", "100+1x60", "100x60", job="std-daq", service="udp-recv"),
    ],
    "DaqRingNearlyOverrun": [
        gauge("daq_ring_lag_ratio", "0.1x40 0.85x20", "0.7x60", reader="h5-writer-0", service="h5-writer-0"),
        gauge("daq_ring_lag_ratio", "0.1x40 0.85x20", "0.7x60", reader="assembler", service="assembler"),
    ],
    "DaqKernelDropsPackets": [counter("daq_udp_kernel_drops_total", module="1")],
    "DaqPacketsLost": [
        Case(
            {'daq_udp_packets_lost_total{module="1"}': "0+2x60", 'daq_udp_packets_received_total{module="1"}': GROWING},
            {
                'daq_udp_packets_lost_total{module="1"}': "0+2x60",
                'daq_udp_packets_received_total{module="1"}': "0+10000x60",
            },
            {"module": "1"},
        ),
    ],
    "DaqNoPackets": [
        Case(
            {
                'daq_run_state{state="waiting",service="writer-agent"}': "1x60",
                'daq_udp_packets_received_total{module="0",service="udp-recv"}': "7x60",
                'daq_udp_packets_received_total{module="1",service="udp-recv"}': "9x60",
            },
            {
                'daq_run_state{state="waiting",service="writer-agent"}': "1x60",
                'daq_udp_packets_received_total{module="0",service="udp-recv"}': GROWING,
                'daq_udp_packets_received_total{module="1",service="udp-recv"}': "7x60",
            },
            {"state": "waiting", "service": "writer-agent"},
        ),
    ],
    "DaqForeignPackets": [
        counter("daq_udp_packets_rejected_total", module="0", reason="foreign_sender"),
        counter("daq_udp_packets_rejected_total", module="0", reason="wrong_length"),
    ],
    "DaqImagesIncomplete": [
        Case(
            {'daq_images_total{status="missing_packets",service="assembler"}': GROWING},
            {
                'daq_images_total{status="missing_packets",service="assembler"}': STEADY,
                'daq_images_total{status="good",service="assembler"}': GROWING,
            },
            {"service": "assembler"},
        ),
    ],
    "DaqAssemblerTooSlow": [
        counter("daq_assembler_exposures_lost_total", service="assembler"),
        Case(
            {'daq_images_total{status="overwritten+saturated",service="assembler"}': GROWING},
            {'daq_images_total{status="missing_packets",service="assembler"}': GROWING},
            {"service": "assembler"},
        ),
        # Losses on the way from another server are no fault of an assembler, which that server does not have.
        Case({"daq_assembler_exposures_lost_total": GROWING}, {"daq_replica_images_lost_total": GROWING}, {}),
    ],
    "DaqCalibrationRefused": [gauge("daq_calibration_refused", "0x30 1x30", "1x60")],
    "DaqSourceAway": [gauge("daq_replica_sources", "2x20 0x40", "1x60")],
    "DaqReplicationLosesImages": [
        counter("daq_replication_images_lost_total"),
        counter("daq_replica_images_lost_total"),
    ],
    "DaqWriterLosesImages": [counter("daq_writer_images_lost_total", service="h5-writer-1")],
    "DaqRunFailed": [gauge("daq_requests_total", "0x50 1x10", "3x60", verdict="failed")],
    "DaqRunIncomplete": [gauge("daq_requests_total", "0x50 1x10", "3x60", verdict="incomplete")],
    "DaqBrokerAway": [gauge("daq_broker_connected", "1x20 0x40", "1x60")],
    "DaqBrokerBlocked": [
        Case({'daq_broker_blocked{reason="low on disk"}': "1x60"}, {"up": "1x60"}, {"reason": "low on disk"}),
    ],
    "DaqDiskNearlyFull": [
        Case(
            {'daq_disk_free_bytes{root="/data"}': "90x60", 'daq_disk_size_bytes{root="/data"}': "1000x60"},
            {'daq_disk_free_bytes{root="/data"}': "110x60", 'daq_disk_size_bytes{root="/data"}': "1000x60"},
            {"root": "/data"},
        ),
    ],
    "DaqDiskFullSoon": [
        Case(
            {'daq_disk_free_bytes{root="/data"}': "450-3x60", 'daq_disk_size_bytes{root="/data"}': "1000x60"},
            {'daq_disk_free_bytes{root="/data"}': "450-1x60", 'daq_disk_size_bytes{root="/data"}': "1000x60"},
            {"root": "/data"},
        ),
    ],
    "DaqDiskUnknown": [
        Case(
            {"daq_requests_queued": "0x60"},
            {"daq_requests_queued": "0x60", 'daq_disk_free_bytes{root="/data"}': "500x60"},
            {},
        ),
    ],
    "DaqExporterAway": [gauge("daq_builder_connected", "1x20 0x40", "1x60", exporter="daq-10:46005")],
    "DaqEventsIncomplete": [counter("daq_builder_events_total", status="incomplete")],
    "DaqAnalysisFails": [
        Case(
            {'daq_analysis_left_out_total{reason="died"}': GROWING},
            {'daq_analysis_left_out_total{reason="overwritten"}': GROWING},
            {},
        ),
    ],
    "DaqNoWorkers": [
        Case(
            {"daq_sim_router_waiting": "12x60", 'daq_sim_router_workers{state="refused"}': "3x60"},
            {"daq_sim_router_waiting": "12x60", 'daq_sim_router_workers{state="busy"}': "1x60"},
            {},
        ),
    ],
    "DaqTelescopeSilent": [gauge("daq_live_view_age_seconds", "0+15x60", "2x60", module="254", product="ph256")],
}


def of_target(series: dict[str, str], target: str) -> list[dict[str, str]]:
    """Return series of a target in the form that promtool reads."""
    parts = [re.fullmatch(r"(\w+)(?:\{(.*)\})?", name) for name in series]
    names = [f"{part[1]}{{{','.join(filter(None, (part[2], target)))}}}" for part in parts if part]
    return [{"series": name, "values": values} for name, values in zip(names, series.values(), strict=True)]


def fires(alert: str, case: Case, present: list[dict[str, str]]) -> dict[str, Any]:
    target = {"detector": "EG", "instance": "daq-1:8080"}
    told = selector({"alertname": alert, "alertstate": "firing", **ALERTS[alert]["labels"], **case.labels, **target})
    test = {"expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}', "eval_time": "13m"}
    return {
        "interval": "15s",
        "name": alert,
        "input_series": present,
        "promql_expr_test": [{**test, "exp_samples": [{"labels": f"ALERTS{told}", "value": 1}]}],
    }


def promtool(*arguments: str | Path) -> None:
    program = shutil.which("promtool")
    assert program, "promtool is missing: install Debian's package prometheus, or run scripts/test, which does it"
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.long
def test_each_alert_names_the_detector_with_the_fault_and_no_other(tmp_path: Path) -> None:
    tests = [
        fires(alert, case, of_target(case.bad, EG) + of_target(case.good, JF))
        for alert, cases in CASES.items()
        for case in cases
    ]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests}))
    promtool("test", "rules", file)


def test_every_alert_has_a_case_a_severity_and_a_summary_of_labels_that_it_has() -> None:
    assert set(CASES) == set(ALERTS)
    for alert, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        known = {"detector", "instance", "service"}.union(*(case.labels for case in CASES[alert]))
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known, alert


def test_rules_are_valid() -> None:
    promtool("check", "rules", RULES)
