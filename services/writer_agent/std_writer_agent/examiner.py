"""Examiner: asks the disks about a request, in threads, because a disk may not answer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from std_daq.errors import RequestRefusedError

MAX_THREADS = 8


class Examiner:
    """Runs checks that may never return, such as those of a path on a server that is away.

    Linux does not end a call to a file system that does not answer. So the call gets a thread of its own, which is left
    alone if it takes too long, and ends whenever the file system answers or the process ends. Several threads may ask
    at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def examine(self, check: Callable[[], str], patience_s: float) -> str:
        """Return the result of a check, or raise its error.

        Raises
        ------
        RequestRefusedError
            The check took longer than ``patience_s``, or too many checks of earlier requests have not returned.
        """
        result: Future[str] = Future()
        thread = threading.Thread(target=_settle, args=(check, result), name="examine", daemon=True)
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) >= MAX_THREADS:
                raise RequestRefusedError(
                    f"{MAX_THREADS} earlier requests wait for disks that do not answer; mend these disks, or restart "
                    "the writer agent"
                )
            thread.start()
            self._threads.append(thread)
        try:
            return result.result(patience_s)
        except TimeoutError:
            if result.done():
                raise  # the check itself has timed out
            raise RequestRefusedError(
                f"the disk of output_file did not answer within {patience_s:g} s: is its server there?"
            ) from None


def _settle(check: Callable[[], str], result: "Future[str]") -> None:
    try:
        result.set_result(check())
    except BaseException as error:  # noqa: BLE001 -- it is raised where the result is wanted
        result.set_exception(error)
