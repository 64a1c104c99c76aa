"""The fixed position of an antenna, as keys of the configuration. Pure."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from std_daq.telescope.ubx.keys import KeyValueError

_FIXED = 2
_LLH = 1
_PARTS = 100
_DEFAULT_ACCURACY_M = 0.05
_LIMITS = {"lat_deg": 90, "lon_deg": 180, "height_m": 100_000}


def position_settings(position: Mapping[str, Any]) -> dict[str, int]:
    """Return the keys that fix a position; raises KeyValueError if it is wrong.

    Each coordinate is rounded down to the unit of its key; the rest, in hundredths of that unit, goes to a second key.

    Parameters
    ----------
    position
        ``format`` (``LLH``), ``lat_deg``, ``lon_deg``, ``height_m``, and ``acc_m`` (0.05).
    """
    form = position.get("format", "LLH")
    if form != "LLH":
        raise KeyValueError(f"position.format {form!r} is not supported: give LLH")
    latitude, latitude_rest = divmod(_scaled(position, "lat_deg", 10**9), _PARTS)
    longitude, longitude_rest = divmod(_scaled(position, "lon_deg", 10**9), _PARTS)
    height, height_rest = divmod(_scaled(position, "height_m", 10**4), _PARTS)
    accuracy = _whole(_decimal(position.get("acc_m", _DEFAULT_ACCURACY_M), "acc_m") * 10**4)
    if accuracy <= 0:
        raise KeyValueError("position.acc_m has to be more than 0")
    return {
        "CFG_TMODE_MODE": _FIXED,
        "CFG_TMODE_POS_TYPE": _LLH,
        "CFG_TMODE_FIXED_POS_ACC": accuracy,
        "CFG_TMODE_LAT": latitude,
        "CFG_TMODE_LAT_HP": latitude_rest,
        "CFG_TMODE_LON": longitude,
        "CFG_TMODE_LON_HP": longitude_rest,
        "CFG_TMODE_HEIGHT": height,
        "CFG_TMODE_HEIGHT_HP": height_rest,
    }


def _scaled(position: Mapping[str, Any], name: str, factor: int) -> int:
    if name not in position:
        raise KeyValueError(f"position.{name} is missing")
    value = _decimal(position[name], name)
    if abs(value) > _LIMITS[name]:
        raise KeyValueError(f"position.{name} is {position[name]!r}, but at most ±{_LIMITS[name]} is possible")
    return _whole(value * factor)


def _decimal(value: Any, name: str) -> Decimal:
    # By its text: 37.4219999 is meant, not the double next to it, which may be below.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = Decimal(repr(value))
        if number.is_finite():
            return number
    raise KeyValueError(f"position.{name} is {value!r}, which is no number")


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN))
