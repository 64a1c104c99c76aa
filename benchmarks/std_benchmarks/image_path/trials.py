"""Trials: a chain at a rate, and how high that may be."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from std_benchmarks.bisection import confirmed, highest
from std_benchmarks.image_path.chains import Chain, Outcome, check_file
from std_benchmarks.image_path.jungfrau_module import FILE_BYTES, JungfrauModule
from std_benchmarks.writing.page_cache import warm_page_cache
from std_daq.errors import ResourceError

SHORT_S = 1.5
LONG_S = 5.0

_SHARE = 0.25  # of memory and disk that are free
_MAX_RELATIVE_DELAY = 0.05
_RESOLUTION = 1.1
_STEP_DOWN = 1.2
_N_STEPS = 5


@dataclass(frozen=True, slots=True)
class HighestRate:
    """What was found.

    Parameters
    ----------
    rate_hz
        Images a second.
    n_images
        Of the long trial, all compared with what they have to be.
    """

    rate_hz: float
    n_images: int


class Trials:
    """Looks for the highest rate of chains.

    Parameters
    ----------
    module
        Sends.
    folder
        Takes the files; each is removed after its trial.
    progress
        Told what is tried.
    """

    def __init__(self, module: JungfrauModule, folder: Path, progress: Callable[[str], None]) -> None:
        self._module = module
        self._folder = folder
        self._progress = progress
        self._most_cached_bytes = int(psutil.virtual_memory().available * _SHARE)
        self._most_images = int(psutil.disk_usage(str(folder)).free * _SHARE / FILE_BYTES)
        self._n_trials = 0

    def highest_rate(self, name: str, chain: Chain, low: float, high: float) -> HighestRate:
        """Return the highest rate at which nothing is lost: found in short trials, confirmed by a longer one.

        Raises
        ------
        ResourceError
            None was confirmed.
        AssertionError
            A file does not hold what was sent.
        """

        def is_kept_up_with(rate_hz: float) -> bool:
            return self._try(name, chain, rate_hz, SHORT_S, is_checked=False) > 0

        n_images = 0

        def is_confirmed(rate_hz: float) -> bool:
            nonlocal n_images
            n_images = self._try(name, chain, rate_hz, LONG_S, is_checked=True)
            return n_images > 0

        rate_hz = confirmed(
            is_confirmed,
            highest(is_kept_up_with, low, high, resolution=_RESOLUTION),
            step=_STEP_DOWN,
            n_steps=_N_STEPS,
        )
        if not rate_hz:
            raise ResourceError(f"{name}: images are lost at every rate")
        return HighestRate(rate_hz, n_images)

    def _try(self, name: str, chain: Chain, rate_hz: float, seconds: float, *, is_checked: bool) -> int:
        """Record a series; returns its images, 0 if any was lost or the chain did not keep up."""
        self._n_trials += 1
        file = self._folder / f"trial-{self._n_trials}.h5"
        n_images = min(round(rate_hz * seconds), self._most_images)
        self._progress(f"{name}: {n_images} images at {rate_hz:.0f} Hz")
        if chain.fills_page_cache:
            warm_page_cache(self._folder, min(n_images * FILE_BYTES, self._most_cached_bytes))
        try:
            outcome = chain.record(file, n_images, rate_hz)
            is_kept = outcome.is_lossless and _was_in_time(outcome, n_images / rate_hz)
            if is_kept and is_checked:
                check_file(chain, self._module, file, outcome)
        finally:
            file.unlink(missing_ok=True)
        return n_images if is_kept else 0


def _was_in_time(outcome: Outcome, seconds: float) -> bool:
    """Whether the rate was that asked for, and the file was complete soon after it, not caught up from buffers."""
    return max(outcome.lag_s, outcome.finish_s) <= max(_MAX_RELATIVE_DELAY * seconds, 0.2)
