"""The command ``std-event-analysis``."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from std_daq.service import ServiceContext, run_service
from std_daq.tpc.config import TpcConfig
from std_event_analysis.service import NAME, SERVICE

if TYPE_CHECKING:
    from std_event_analysis.event_analysis import EventAnalysis


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[TpcConfig]) -> "EventAnalysis":
    """Build the parts of the service and put them together."""
    import os

    from std_daq.service.registry import parse_service_options
    from std_daq.tpc.events.paths import event_buffer_path
    from std_daq.tpc.pads.load import load_pads
    from std_daq.tpc.reconstruction.own_phases import check_analysis
    from std_daq.tpc.reconstruction.results import results_address
    from std_event_analysis.backlog import Backlog
    from std_event_analysis.event_analysis import EventAnalysis
    from std_event_analysis.metrics import AnalysisMetrics
    from std_event_analysis.options import AnalysisOptions
    from std_event_analysis.parameter_file import ParameterFile
    from std_event_analysis.results_publisher import ResultsPublisher
    from std_event_analysis.workers import Workers

    config = context.config
    options = parse_service_options(config, NAME, AnalysisOptions)
    plane = load_pads(config.pads)
    check_analysis(plane, config.analysis)
    n_workers = options.workers or max(1, len(os.sched_getaffinity(0)) - 1)
    with ExitStack() as opened:
        backlog = Backlog(event_buffer_path(config))
        opened.callback(backlog.close)
        publisher = ResultsPublisher(results_address(config))
        opened.callback(publisher.close)
        workers = Workers(
            n_workers,
            event_buffer_path(config),
            plane,
            config.analysis,
            event_timeout_s=options.event_timeout_s,
        )
        opened.callback(workers.close)
        return EventAnalysis(
            backlog=backlog,
            workers=workers,
            publisher=publisher,
            parameters=ParameterFile(context.arguments.config, plane, config),
            metrics=AnalysisMetrics(context.registry),
            resources=opened.pop_all(),
        )


if __name__ == "__main__":
    sys.exit(main())
