"""CalibrationWatch: notices changed calibration files, and checks them while images are published."""

import threading

from std_daq.errors import CalibrationError
from std_daq.imaging.detectors.interface import FrameConverter
from std_daq.telemetry.logs import get_logger


class CalibrationWatch:
    """Watches the calibration files of a converter, in a thread of its own.

    Parameters
    ----------
    converter
        Converter that is in use.
    period_s
        Time between two checks, in seconds.
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
        """Return a checked converter for changed files, once for each change; None if nothing has changed."""
        replacement = self._replacement
        if replacement is not None:
            self._replacement = None
        return replacement

    def close(self) -> None:
        """Stop watching."""
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
                        "calibration_refused",
                        error=str(error),
                        instead="the calibration from before the change is still applied",
                    )
                refused = str(error)
                continue
            refused = ""
            if changed is not None:
                self._converter = changed
                self._replacement = changed
