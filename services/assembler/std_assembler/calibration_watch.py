"""CalibrationWatch: notices changed calibration files and has them checked while images go on."""

import threading

from std_daq.errors import CalibrationError
from std_daq.imaging.detectors.interface import FrameConverter
from std_daq.telemetry.logs import get_logger


class CalibrationWatch:
    """Looks at the files of a converter in a thread of its own.

    Parameters
    ----------
    converter
        The converter that is in use.
    period_s
        How often to look, in seconds.
    """

    def __init__(self, converter: FrameConverter, period_s: float = 1.0) -> None:
        self._converter = converter
        self._period_s = period_s
        self._replacement: FrameConverter | None = None
        self._stop = threading.Event()
        self.n_refused = 0
        self._thread = threading.Thread(target=self._watch, name="calibration", daemon=True)
        self._thread.start()

    def take_replacement(self) -> FrameConverter | None:
        """Return a checked converter with the changed files, once; None where nothing has changed."""
        replacement = self._replacement
        if replacement is not None:
            self._replacement = None
        return replacement

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        log = get_logger()
        refused = ""
        while not self._stop.wait(self._period_s):
            try:
                changed = self._converter.reload()
            except CalibrationError as error:
                if str(error) != refused:
                    self.n_refused += 1
                    log.error(
                        "calibration_refused", error=str(error), instead="the files as they were are still applied"
                    )
                refused = str(error)
                continue
            refused = ""
            if changed is not None:
                self._converter = changed
                self._replacement = changed
