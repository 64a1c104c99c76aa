"""Phases of a user's own: functions in files of theirs."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, ValidationError, create_model

from std_daq.errors import ConfigError
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters, OwnPhaseParameters

if TYPE_CHECKING:
    from std_daq.tpc.reconstruction.phases import EventOnItsWay, Phase

_KEY = "analysis.phases"


def check_analysis(plane: PadPlane, parameters: AnalysisParameters) -> None:
    """Check that events can be analysed, without the libraries that this needs.

    Raises
    ------
    ConfigError
        The pads have no positions, or a phase of the user's own cannot be used.
    """
    if plane.positions is None:
        raise ConfigError(
            "there is no analysis without positions of the pads", key="pads.geometry",
            remedy='name a file with x and y of each pad, or "attpc"',
        )  # fmt: skip
    for one in parameters.phases:
        if isinstance(one, OwnPhaseParameters):
            load_own_phase(one)


def load_own_phase(own: OwnPhaseParameters) -> "Phase":
    """Return a phase that calls the function of a file, with its parameters checked against the function's own.

    Raises
    ------
    ConfigError
        The file cannot be read or run, has no such function, or a parameter does not fit.
    """
    function = getattr(_run_file(own), own.function, None)
    if not callable(function):
        raise ConfigError(
            f"there is no function {own.function!r} in the file", file=own.file, key=_KEY,
            remedy="name a function that the file defines",
        )  # fmt: skip
    parameters = _checked_parameters(function, own)

    def phase(event: "EventOnItsWay", _parameters: AnalysisParameters, _plane: PadPlane) -> None:
        function(event, **parameters)

    return phase


def _run_file(own: OwnPhaseParameters) -> ModuleType:
    module = ModuleType(own.file.stem)
    module.__file__ = str(own.file)
    try:
        source = own.file.read_text()
        exec(compile(source, own.file, "exec"), module.__dict__)  # noqa: S102 - the user's own code is what is wanted
    except Exception as error:
        raise ConfigError(
            f"cannot be run: {type(error).__name__}: {error}", file=own.file, key=_KEY, remedy="correct the file"
        ) from error
    return module


def _checked_parameters(function: Callable[..., Any], own: OwnPhaseParameters) -> dict[str, Any]:
    """Return the keyword arguments of a function; their types and defaults are those of its signature."""
    signature = inspect.signature(function, eval_str=True)
    fields: dict[str, Any] = {
        name: (
            Any if one.annotation is inspect.Parameter.empty else one.annotation,
            ... if one.default is inspect.Parameter.empty else one.default,
        )
        for name, one in signature.parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY
    }
    model = create_model(own.function, __config__=ConfigDict(extra="forbid"), **fields)
    try:
        checked = model(**own.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"parameter {name} of {own.function}: {first['msg']}", file=own.file, key=_KEY, value=own.parameters,
            remedy=f"{own.function} has the parameters {', '.join(fields) or 'none'}",
        ) from None  # fmt: skip
    return {name: getattr(checked, name) for name in fields}
