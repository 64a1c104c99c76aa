"""RunValues: what other programs measure while a run goes on, kept until its files get it."""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum

from std_daq.errors import RequestRefusedError
from std_daq.recording.measured_values import (
    MAX_AHEAD_S,
    MAX_VALUES_A_RUN,
    MeasuredValue,
    ValueLog,
    decode_values,
)
from std_daq.recording.value_channel import ReceivedValues
from std_daq.telemetry.logs import ConditionLog

_S = 1_000_000_000


class ValueFate(StrEnum):
    """What becomes of a measured value."""

    KEPT = "kept"
    BETWEEN_RUNS = "between_runs"
    LATE = "late"
    LOST = "lost"
    REFUSED = "refused"
    TOO_MANY = "too_many"


class RunValues:
    """Keeps the values of the present run, and of each name the latest value from before it.

    So a position that does not change during the run is in its files all the same. Values between runs are counted, and
    so are those that come after the writers were given the values of their run, have an unknown name, or are too many.
    None of them ends a run.

    Parameters
    ----------
    units
        Unit of each value that is taken, by its name.
    count
        Called with each fate, and the number of values that have it.
    clock_ns
        Returns the present time in ns since 1970.
    """

    def __init__(
        self,
        units: Mapping[str, str],
        count: Callable[[ValueFate, int], None],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._units = dict(units)
        self._count = count
        self._clock_ns = clock_ns
        self._latest: dict[str, tuple[int, float]] = {}
        self._points: dict[str, list[tuple[int, float]]] = {}
        self._n_kept = 0
        self._is_open = False
        self._opened_ns = 0
        self._ended_ns = 0
        self._conditions = ConditionLog()

    def open(self) -> None:
        """Begin to keep values, as the first image of a run has come; nothing if that is known."""
        if self._is_open:
            return
        self._is_open = True
        self._opened_ns = self._clock_ns()
        self._points = {name: [point] for name, point in self._latest.items()}
        self._n_kept = len(self._points)

    def logs(self) -> dict[str, ValueLog]:
        """Return the logs of the run so far, ordered by time; names without a value have none."""
        logs = {}
        for name, points in self._points.items():
            ordered = sorted(points)
            times, values = [at for at, _ in ordered], [value for _, value in ordered]
            logs[name] = ValueLog(unit=self._units[name], times_ns=times, values=values)
        return logs

    def hand_over(self) -> dict[str, ValueLog]:
        """Return the logs of the run for its files, and keep no more values: what comes later is in none of them."""
        logs = self.logs()
        self._close()
        return logs

    def end(self) -> None:
        """Forget the values of the run, which has ended; those that were not handed over are lost."""
        if self._n_kept:
            self._conditions.warning("values_lost", n_values=self._n_kept, reason="the run has no file that gets them")
            self._count(ValueFate.LOST, self._n_kept)
        self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._ended_ns = self._clock_ns()
        self._points = {}
        self._n_kept = 0

    def take(self, received: ReceivedValues) -> None:
        """Take a message, whatever it holds."""
        try:
            values = decode_values(received.delivery.body, received.delivery.n_body_bytes)
        except RequestRefusedError as error:
            self._refuse(str(error))
            return
        fates: dict[ValueFate, int] = {}
        for value in values:
            fate = self._take(value)
            fates[fate] = fates.get(fate, 0) + 1
        for fate, n in fates.items():
            self._count(fate, n)

    def _take(self, value: MeasuredValue) -> ValueFate:
        now = self._clock_ns()
        at = value.time_ns(now)
        if value.name not in self._units:
            problem = f"no value {value.name!r} is in measured_values of the configuration"
            self._conditions.warning("value_refused", reason=problem)
            return ValueFate.REFUSED
        if not 0 <= at <= now + MAX_AHEAD_S * _S:
            problem = f"the time of a value of {value.name} lies before 1970 or in the future"
            self._conditions.warning("value_refused", reason=problem)
            return ValueFate.REFUSED
        before = self._latest.get(value.name)
        is_latest = before is None or at >= before[0]
        if is_latest:
            self._latest[value.name] = (at, value.value)
        if not self._is_open:
            return self._between_runs(value.name, at)
        return self._keep(value.name, (at, value.value), is_latest=is_latest)

    def _between_runs(self, name: str, at: int) -> ValueFate:
        if self._ended_ns and at < self._ended_ns:
            self._conditions.warning("value_late", name=name, remedy="send values before the run ends")
            return ValueFate.LATE
        return ValueFate.BETWEEN_RUNS

    def _keep(self, name: str, point: tuple[int, float], *, is_latest: bool) -> ValueFate:
        points = self._points.setdefault(name, [])
        if point[0] < self._opened_ns:  # it was measured before the run: the latest of these counts
            if not is_latest:
                return ValueFate.BETWEEN_RUNS
            self._n_kept += 1 - len(points)
            points[:] = [point]
            return ValueFate.KEPT
        if self._n_kept >= MAX_VALUES_A_RUN:
            self._conditions.warning("too_many_values", limit=MAX_VALUES_A_RUN, remedy="send values less often")
            return ValueFate.TOO_MANY
        points.append(point)
        self._n_kept += 1
        return ValueFate.KEPT

    def _refuse(self, reason: str) -> None:
        self._conditions.warning("value_refused", reason=reason)
        self._count(ValueFate.REFUSED, 1)
