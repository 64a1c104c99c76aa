"""Description of event_view for the platform: its processes and its options."""

import argparse

from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.tpc.config import TpcConfig, ViewerConfig
from std_daq.tpc.start_checks import PADS

_NAME = "event-view"


def _instances(config: TpcConfig) -> list[Instance]:
    return [Instance(_NAME)] if config.viewer != ViewerConfig() else []


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from std_event_view.options import add_arguments

    add_arguments(parser)


SERVICE = ServiceDescription(
    name=_NAME,
    package="std_event_view",
    summary="Shows the events of a chamber, and histograms of them, in Rerun.",
    config=TpcConfig,
    instances=_instances,
    checks=(PADS,),
    add_arguments=_add_arguments,
    figures=(
        Figure("results", "daq_event_view_results_total"),
        Figure("shown", "daq_event_view_shown_total"),
        Figure("viewers", "daq_event_view_connected"),
    ),
)
