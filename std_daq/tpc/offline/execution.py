"""Where units are analysed: in this process, in processes of this machine, or on a Dask cluster."""

import asyncio
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from std_daq.errors import ResourceError, StdDaqError
from std_daq.service.end_with_supervisor import end_with_parent
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.offline.result_part import PartFolder
from std_daq.tpc.offline.unit import Unit, analyse_unit

_UNITS_PER_WORKER = 3
_CONNECT_S = 10.0
# A worker is one of many, so its libraries must not start a thread for each core.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Execution(Protocol):
    """Analyses units."""

    def run(self, units: Iterator[Unit], config: TpcConfig, parts: PartFolder) -> Iterator[Unit]:
        """Yield each unit when its part is kept, in any order."""


class InThisProcess:
    """Analyses one unit after another."""

    def run(self, units: Iterator[Unit], config: TpcConfig, parts: PartFolder) -> Iterator[Unit]:
        """Yield each unit when its part is kept."""
        for unit in units:
            _analyse_and_keep(unit, config, parts)
            yield unit


class InProcesses:
    """Analyses units in processes of this machine, which keep the parts themselves.

    Parameters
    ----------
    n_workers
        Number of processes.
    """

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers

    def run(self, units: Iterator[Unit], config: TpcConfig, parts: PartFolder) -> Iterator[Unit]:
        """Yield each unit when its part is kept, as they come; at most a few units a worker are on their way."""
        os.environ.update({name: value for name, value in _ONE_THREAD.items() if name not in os.environ})
        # Without the process that gives it work, a worker would wait for ever.
        pool = ProcessPoolExecutor(
            self._n_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=end_with_parent,
            initargs=(os.getpid(),),
        )
        pending: dict[Future[None], Unit] = {}
        try:
            while True:
                for unit in itertools.islice(units, self._n_workers * _UNITS_PER_WORKER - len(pending)):
                    pending[pool.submit(_analyse_and_keep, unit, config, parts)] = unit
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    unit = pending.pop(future)
                    future.result()
                    yield unit
        except BrokenProcessPool:
            raise StdDaqError(
                "a worker process was killed, perhaps for want of memory; the same command goes on where this one ended"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _analyse_and_keep(unit: Unit, config: TpcConfig, parts: PartFolder) -> None:
    parts.save(unit.index, analyse_unit(unit, config))


async def _greet(address: str) -> None:
    """Connect to a scheduler, which answers to that; raises what Dask raises if it does not."""
    from distributed.comm.core import connect
    from distributed.security import Security

    greeted = await connect(address, timeout=_CONNECT_S, **Security().get_connection_args("client"))
    await greeted.close()


class OnDask:
    """Analyses units on a Dask cluster; a unit whose worker dies is analysed by another one.

    Its workers need not see the folder of the result: this process keeps the parts.

    Parameters
    ----------
    address
        Address of the scheduler, for example ``tcp://10.0.0.1:8786``. Its workers need this package, and the files
        under the same paths.
    tell
        Is called with a line for the user before each wait.

    Raises
    ------
    ResourceError
        The scheduler does not answer within 10 s.
    """

    def __init__(self, address: str, tell: Callable[[str], None]) -> None:
        from distributed import Client

        tell(f"connecting to the Dask scheduler at {address}, for at most {_CONNECT_S:g} s")
        try:
            # First by itself: of what listens there and is no scheduler, a Client would wait for ever.
            asyncio.run(asyncio.wait_for(_greet(address), _CONNECT_S))
            self._client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, MemoryError):  # MemoryError: what is no scheduler has sent a length
            raise ResourceError(
                f"no Dask scheduler answers at {address}: is that the address that it prints, does it run, "
                "and does no firewall stand between?"
            ) from None
        if not self._client.nthreads():
            tell(f"the Dask cluster at {address} has no workers; the work waits for them")

    def run(self, units: Iterator[Unit], config: TpcConfig, parts: PartFolder) -> Iterator[Unit]:
        """Yield each unit when its part is kept, as they come."""
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        pending: dict[Any, Unit] = {}
        running = as_completed(loop=self._client.loop)
        try:
            while True:
                n_threads = max(1, sum(self._client.nthreads().values()))
                for unit in itertools.islice(units, max(0, n_threads * _UNITS_PER_WORKER - len(pending))):
                    future = self._client.submit(analyse_unit, unit, config, pure=False)
                    pending[future.key] = unit
                    running.add(future)
                if not pending:
                    return
                done = next(running)
                unit, part = pending.pop(done.key), done.result()
                parts.save(unit.index, part)
                yield unit
        except KilledWorker as error:
            raise StdDaqError(f"the workers of the cluster die: {error}") from None
        finally:
            self._client.close()
