"""Measured values: what other programs measure while a run goes on, such as positions and temperatures.

A message of the exchange ``value`` is the JSON of one value, ``{"name": "sample_x", "value": 1.25}``, or a list of
them. ``time`` says when a value was measured; without it, that is when the writer agent receives the message.
"""

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from std_daq.errors import RequestRefusedError, shorten

NAME = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"
UNIT = r"^[\x20-\x7e]{0,32}$"
MAX_NAMES = 64
MAX_VALUES_A_MESSAGE = 1000
MAX_MESSAGE_BYTES = 256 * 1024
MAX_VALUES_A_RUN = 100_000
# Clocks of machines differ; a time that is further ahead is a mistake.
MAX_AHEAD_S = 60.0

ValueName = Annotated[str, Field(pattern=NAME)]
ValueUnit = Annotated[str, Field(pattern=UNIT)]
_LARGEST = sys.float_info.max
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class MeasuredValue(BaseModel):
    """A value that a program has measured."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: ValueName = Field(description="Name of the value, one of measured_values in the configuration.")
    value: float = Field(description="The value, in the unit that the configuration says.")
    time: AwareDatetime | None = Field(
        default=None,
        description="When it was measured: ISO 8601 with a time zone, or seconds since 1970; absent: when it arrives.",
    )

    def time_ns(self, now_ns: int) -> int:
        """Return when the value was measured, in ns since 1970, given the present time."""
        return now_ns if self.time is None else ns_of(self.time)


class ValueLog(BaseModel):
    """The values of one name in a run, in the order of their times."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    unit: ValueUnit = ""
    times_ns: list[Annotated[int, Field(ge=0, le=2**63 - 1)]] = Field(description="Times, in ns since 1970.")
    values: list[Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]] = Field(description="The values, all finite.")


ValueLogs = Mapping[str, ValueLog]
"""Logs by the names of their values."""
NO_LOGS: ValueLogs = MappingProxyType({})


def make_value(name: str, value: float, time: datetime | None, units: Mapping[str, str]) -> MeasuredValue:
    """Return a value to be sent, checked against the names that the configuration has.

    Raises
    ------
    RequestRefusedError
        The name is not known, the value is no finite number, or the time has no time zone.
    """
    if name not in units:
        near = difflib.get_close_matches(name, units, n=1)
        known = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(units) or 'none'}"
        raise RequestRefusedError(f"no value {shorten(name, 80)!r} is in measured_values of the configuration; {known}")
    try:
        return MeasuredValue(name=name, value=value, time=time)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = ".".join(map(str, detail["loc"]))
        raise RequestRefusedError(f"measured value {name}: {key}: {detail['msg']} (got {detail['input']!r})") from None


def ns_of(moment: datetime) -> int:
    """Return a moment in ns since 1970."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def encode_values(values: Sequence[MeasuredValue]) -> bytes:
    """Return the body of the message with these values."""
    return json.dumps([value.model_dump(mode="json", exclude_none=True) for value in values]).encode()


_SEVERAL: TypeAdapter[list[MeasuredValue]] = TypeAdapter(
    Annotated[list[MeasuredValue], Field(max_length=MAX_VALUES_A_MESSAGE)]
)


def decode_values(body: bytes, n_body_bytes: int | None = None) -> list[MeasuredValue]:
    """Return the values in the body of a message.

    Parameters
    ----------
    body
        The body, as far as it was kept.
    n_body_bytes
        Length of the whole body, by default that of ``body``.

    Raises
    ------
    RequestRefusedError
        The message is too long, is no JSON, or holds something else than values.
    """
    n_bytes = len(body) if n_body_bytes is None else n_body_bytes
    if n_bytes > MAX_MESSAGE_BYTES:
        raise RequestRefusedError(f"measured values: the message has {n_bytes} bytes; at most {MAX_MESSAGE_BYTES}")
    try:
        if body.lstrip().startswith(b"["):
            return _SEVERAL.validate_json(body)
        return [MeasuredValue.model_validate_json(body)]
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"{part}: " for part in detail["loc"])
        raise RequestRefusedError(f"measured values: {shorten(place, 80)}{detail['msg']}") from None
