"""F9tConfig: how one ZED-F9T is to be configured, checked before anything is sent. Pure.

A file (``f9t_config.json5``) has keys for all chips, and a list of chips. What InitF9t takes is one chip: the keys for
all chips without the list, and those of one chip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from std_daq.config.wrong_input import fault_in_words
from std_daq.errors import ConfigError
from std_daq.telescope.ubx.keys import KeyValueError, key_of_name
from std_daq.telescope.ubx.position import position_settings
from std_daq.telescope.ubx.settings import READ_LAYERS, WRITE_LAYERS, Setting

DEFAULT_BAUD = 115200
_CHIPS = "f9t_chips"
_FIRST = "CFG_SIGNAL_"
_ORDER = ("CFG_TMODE_", "CFG_TP_", "CFG_MSGOUT_")


@dataclass(frozen=True, slots=True)
class F9tConfig:
    """How one chip is to be configured.

    Parameters
    ----------
    device
        The serial device.
    uid
        Its identity, 10 hexadecimal digits in upper case.
    baud
        Speed of the serial line.
    signals, others
        Keys and values in the order in which they are sent; after the signals there is a pause.
    layer_mask
        Layers to which they are written, see `WRITE_LAYERS`.
    verify_layer
        Layer from which they are read back, see `READ_LAYERS`.
    document
        What was asked for.
    """

    device: str
    uid: str
    baud: int
    signals: tuple[Setting, ...]
    others: tuple[Setting, ...]
    layer_mask: int
    verify_layer: int
    document: Mapping[str, Any]


def parse_f9t_config(document: Mapping[str, Any]) -> F9tConfig:
    """Check what InitF9t is told; raises KeyValueError which names what is wrong."""
    device = document.get("device")
    if device is None or device == "":
        raise KeyValueError("Device path not specified in config.")
    if not isinstance(device, str):
        raise KeyValueError(f"Device path must be a text, but it is {device!r}.")
    uid = document.get("f9t_uid")
    if not isinstance(uid, str) or not uid:
        raise KeyValueError("f9t_uid not specified in config: SEC-UNIQID of the chip, 10 hexadecimal digits.")
    settings = _settings(document)
    signals = [one for one in settings if one[0].name.startswith(_FIRST)]
    others = sorted((one for one in settings if one not in signals), key=lambda one: _rank(one[0].name))
    return F9tConfig(
        device=device,
        uid=uid.upper().removeprefix("0X"),
        baud=_baud(document.get("baud", DEFAULT_BAUD)),
        signals=tuple(signals),
        others=tuple(others),
        layer_mask=_layer_mask(document.get("apply_to_layers", ["RAM"])),
        verify_layer=_layer(document.get("verify_layer", "RAM"), READ_LAYERS, "verify_layer"),
        document=document,
    )


def read_f9t_file(path: Path, uid: str | None = None) -> dict[str, Any]:
    """Return what a JSON5 file tells of one chip.

    Parameters
    ----------
    path
        The file.
    uid
        ``f9t_uid`` of the chip; it may be left out if the file has one chip only.

    Raises
    ------
    ConfigError
        The file cannot be read, or has not this chip.
    """
    import json5

    try:
        document = json5.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(fault_in_words(error), file=path) from None
    except RecursionError as error:
        raise ConfigError(fault_in_words(error), file=path) from None
    except ValueError as error:
        raise ConfigError(f"is no JSON5: {error}", file=path) from None
    if not isinstance(document, dict):
        raise ConfigError("is no JSON5 object", file=path)
    chips = document.pop(_CHIPS, None)
    if chips is None:
        return document
    found = [chip for chip in chips if isinstance(chip, dict) and uid in {None, chip.get("f9t_uid")}]
    if len(found) != 1:
        known = ", ".join(str(chip.get("f9t_uid")) for chip in chips if isinstance(chip, dict)) or "none"
        raise ConfigError(
            f"{len(found)} chips fit, of those in the file: {known}",
            file=path,
            key=_CHIPS,
            value=uid,
            remedy="give the f9t_uid of one",
        )
    return document | found[0]


def _settings(document: Mapping[str, Any]) -> list[Setting]:
    """Return keys and values; of a key that is there twice the last value counts, and the position above all."""
    wanted: dict[str, tuple[str, Any]] = {}
    listed = document.get("cfg_key_settings", ())
    if not isinstance(listed, (list, tuple)):
        raise KeyValueError("cfg_key_settings is no list of {key, value}")
    for index, one in enumerate(listed):
        where = f"cfg_key_settings[{index}]"
        if not isinstance(one, Mapping) or not isinstance(one.get("key"), str) or "value" not in one:
            raise KeyValueError(f"{where} is not {{key, value}}")
        try:
            wanted[key_of_name(one["key"]).name] = (where, one["value"])
        except KeyValueError as error:
            raise KeyValueError(f"{where}: {error}") from None
    position = document.get("position")
    if position is not None:
        if not isinstance(position, Mapping):
            raise KeyValueError("position is no object with lat_deg, lon_deg, height_m")
        wanted |= {name: ("position", value) for name, value in position_settings(position).items()}
    return [_setting(name, where, value) for name, (where, value) in wanted.items()]


def _setting(name: str, where: str, value: Any) -> Setting:
    key = key_of_name(name)
    try:
        return key, key.encode(value)
    except KeyValueError as error:
        raise KeyValueError(f"{where}: {error}") from None


def _rank(name: str) -> int:
    return next((rank for rank, prefix in enumerate(_ORDER) if name.startswith(prefix)), len(_ORDER))


def _baud(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or value <= 0:
        raise KeyValueError(f"baud is {value!r}, which is no speed of a serial line")
    return int(value)


def _layer_mask(names: Any) -> int:
    if not isinstance(names, (list, tuple)) or not names:
        raise KeyValueError(f"apply_to_layers is {names!r}, which is no list of {', '.join(WRITE_LAYERS)}")
    mask = 0
    for name in names:
        mask |= _layer(name, WRITE_LAYERS, "apply_to_layers")
    return mask


def _layer(name: Any, layers: Mapping[str, int], key: str) -> int:
    try:
        return layers[name.upper()]
    except (AttributeError, KeyError):
        raise KeyValueError(f"{key}: {name!r} is no layer; known are {', '.join(layers)}") from None
