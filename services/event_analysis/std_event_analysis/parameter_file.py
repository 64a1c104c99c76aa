"""ParameterFile: the parameters in ``tpc.json``, which may change while the service runs."""

from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.telemetry.logs import get_logger
from std_daq.tpc.config import TpcConfig, load_tpc_config
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.own_phases import check_analysis
from std_daq.tpc.reconstruction.parameters import AnalysisParameters, OwnPhaseParameters

_LOOK_S = 0.25


class ParameterFile:
    """Looks at the file, and at the files of the user's own phases, a few times a second.

    Only the section ``analysis`` is taken over; what else has changed needs a restart. A file that is wrong changes
    nothing.

    Parameters
    ----------
    path
        The ``tpc.json``.
    plane
        Pads of the chamber.
    config
        What the file said at the start.
    """

    def __init__(self, path: Path, plane: PadPlane, config: TpcConfig) -> None:
        self._path = path
        self._plane = plane
        self._parameters = config.analysis
        self._seen = self._state()
        self._next_look = 0.0

    def changed(self, now_s: float) -> AnalysisParameters | None:
        """Return the parameters if they, or a phase of the user's own, have changed since the last call."""
        if now_s < self._next_look:
            return None
        self._next_look = now_s + _LOOK_S
        state = self._state()
        if state == self._seen:
            return None
        have_phases_changed = state[1:] != self._seen[1:]
        self._seen = state
        try:
            parameters = load_tpc_config(self._path).analysis
            if parameters == self._parameters and not have_phases_changed:
                return None
            check_analysis(self._plane, parameters)
        except ConfigError as error:
            get_logger().error("parameters_not_changed", reason=str(error))
            return None
        self._parameters = parameters
        self._seen = self._state()
        get_logger().info("parameters_changed", path=str(self._path))
        return parameters

    def _state(self) -> list[tuple[str, int, int]]:
        """Return what tells whether the files have changed."""
        own = [one.file for one in self._parameters.phases if isinstance(one, OwnPhaseParameters)]
        return [_file_state(file) for file in (self._path, *own)]


def _file_state(file: Path) -> tuple[str, int, int]:
    try:
        found = file.stat()
    except OSError:  # an editor is replacing it
        return str(file), 0, 0
    return str(file), found.st_mtime_ns, found.st_size
