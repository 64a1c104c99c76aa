"""Description of event_analysis for the platform: its processes and its figures."""

from std_daq.service.checks import Check
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.tpc.config import TpcConfig
from std_event_analysis.options import AnalysisOptions

NAME = "event-analysis"


def _instances(config: TpcConfig) -> list[Instance]:
    """Return no process where the pads have no positions: there is no analysis without."""
    has_positions = isinstance(config.pads, str) or config.pads.geometry is not None
    return [Instance(NAME)] if has_positions else []


def _check_phases(config: TpcConfig) -> None:
    from std_daq.tpc.pads.load import load_pads
    from std_daq.tpc.reconstruction.own_phases import check_analysis

    check_analysis(load_pads(config.pads), config.analysis)


PHASES = Check(subject="analysis", run=_check_phases, is_part_of_start=True)

SERVICE = ServiceDescription(
    name=NAME,
    package="std_event_analysis",
    summary="Makes clouds, clusters and estimates of the events of a chamber.",
    config=TpcConfig,
    instances=_instances,
    checks=(PHASES,),
    options=AnalysisOptions,
    figures=(
        Figure("analysed", "daq_analysis_events_total"),
        Figure("left out", "daq_analysis_left_out_total"),
        Figure("estimates", "daq_analysis_estimates_total"),
        Figure("waiting", "daq_analysis_waiting"),
        Figure("age s", "daq_analysis_age_seconds"),
    ),
)
