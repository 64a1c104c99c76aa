"""Makes the worker that the options ask for."""

from typing import TYPE_CHECKING

from std_sim_worker.metrics import WorkerMetrics
from std_sim_worker.opening import Opened
from std_sim_worker.options import WorkerOptions

if TYPE_CHECKING:
    from std_daq.service import Service


def make_worker(options: WorkerOptions, opened: Opened, metrics: WorkerMetrics) -> "Service":
    """Return a worker behind a router, or one that clients connect to."""
    if options.router is not None:
        from std_sim_worker.joined_worker import JoinedWorker

        return JoinedWorker(options, opened.backend, opened.fingerprint, metrics)
    if options.output_directory is not None:
        from std_sim_worker.async_worker import AsyncWorker

        return AsyncWorker(options, options.output_directory, opened.backend, metrics)
    from std_sim_worker.standalone_worker import StandaloneWorker

    return StandaloneWorker(options, opened.backend, metrics)
