"""The value of pixels that did not arrive."""

from typing import Any

import numpy as np

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig


def fill_value(config: DetectorConfig, dtype: np.dtype[Any]) -> Any:
    """Return ``assembler.fill_value`` as a pixel of this type; the default is 0 for integers and NaN for floats.

    Raises
    ------
    ConfigError
        Pixels of this type cannot hold the value.
    """
    value = config.assembler.fill_value
    if value is None:
        return dtype.type(np.nan if dtype.kind == "f" else 0)
    if dtype.kind == "f":
        return dtype.type(value)
    limits = np.iinfo(dtype)
    if not (float(value).is_integer() and limits.min <= value <= limits.max):
        raise ConfigError(
            f"pixels are {dtype.name} and cannot hold this value",
            key="assembler.fill_value",
            value=value,
            remedy=f"give a whole number from {limits.min} to {limits.max}, or leave it out for 0",
        )
    return dtype.type(int(value))
