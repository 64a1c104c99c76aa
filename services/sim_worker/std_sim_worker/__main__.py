"""The command ``std-sim-worker``."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from std_daq.photons.config import FarmConfig
from std_daq.service import ServiceContext, run_service
from std_sim_worker.options import WorkerOptions
from std_sim_worker.service import SERVICE

if TYPE_CHECKING:
    from std_daq.service import Service


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the service, and end the process with its exit code.

    Python would wait for a call of the engine, or for a compilation, that nothing can interrupt; and on a busy machine
    it takes seconds to take its libraries apart.
    """
    exit_code = run_service(SERVICE, argv, start)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def start(context: ServiceContext[FarmConfig]) -> "Service":
    """Build the service."""
    from std_sim_worker.metrics import WorkerMetrics
    from std_sim_worker.opening import EndedBeforeReady, Opening
    from std_sim_worker.worker import make_worker

    options = WorkerOptions.from_arguments(context.arguments)
    opened = Opening(options).wait(context.stop)
    if opened is None:
        return EndedBeforeReady(context.stop)
    return make_worker(options, opened, WorkerMetrics(context.registry))


if __name__ == "__main__":
    main()
