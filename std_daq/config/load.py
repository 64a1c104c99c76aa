"""Loading ``detector.json`` with errors that name the file, the key, the value and what to do."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from std_daq.config.model import SECRET, DetectorConfig
from std_daq.errors import ConfigError
from std_daq.telemetry.logs import get_logger

# Keys of existing files that mean nothing here, and what takes their place.
SUPERSEDED_KEYS = {
    "max_number_of_forwarders_spawned": "forwarding scales by itself",
    "use_all_forwarders": "forwarding scales by itself",
    "gpfs_block_size": "chunks are one image",
    "delay_filter_timeout": "udp.module_timeout_s",
    "sender_sends_full_images": "senders always send full images",
    "switch_user_active": "writer_user_id",
    "submodule_info": "module_positions",
}
TYPE_SPELLINGS = {"jungfrau-raw": ("jungfrau", False), "jungfrau-converted": ("jungfrau", True)}


def load_config(path: Path | str) -> DetectorConfig:
    """Load a configuration file.

    Parameters
    ----------
    path
        The ``detector.json``.

    Raises
    ------
    ConfigError
        With file, key, value and remedy, when anything is wrong.
    """
    path = Path(path)
    return parse_config(_read(path), path)


def parse_config(document: dict[str, Any], file: Path | str | None = None) -> DetectorConfig:
    """Check an already parsed document; ``file`` is only named in errors."""
    log = get_logger()
    document = dict(document)
    for key in [key for key in document if key in SUPERSEDED_KEYS]:
        log.warning("config_key_ignored", file=str(file), key=key, instead=SUPERSEDED_KEYS[key])
        del document[key]
    spelling = TYPE_SPELLINGS.get(str(document.get("detector_type")))
    if spelling is not None:
        document["detector_type"], is_converted = spelling
        options = dict(document.get("detector") or {})
        options.setdefault("conversion", "kev" if is_converted else "raw")
        document["detector"] = options
    try:
        return DetectorConfig.model_validate(document)
    except ValidationError as error:
        raise config_error(error, DetectorConfig, file) from None


def config_error(
    error: ValidationError, model: type[BaseModel], file: Path | str | None = None, prefix: str = ""
) -> ConfigError:
    """Turn the first problem of a pydantic error into a ConfigError, with the nearest known key."""
    # A misspelt key is unknown and missing: told as unknown, it is found in the file.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    location = [str(part) for part in first["loc"]]
    key = ".".join([prefix, *location] if prefix else location) or None
    more = len(error.errors()) - 1
    remedy = f"and {more} more problem{'s' if more > 1 else ''}" if more else None
    if first["type"] == "extra_forbidden":
        known = list(_keys(model, location[:-1]))
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys here: {', '.join(sorted(known))}"
        return ConfigError("unknown key", file=file, key=key, remedy=hint)
    if first["type"] == "missing":
        return ConfigError("this key is required and missing", file=file, key=key, remedy=remedy)
    message = first["msg"].removeprefix("Value error, ")
    value = first["input"] if location and first["type"] != SECRET else None
    return ConfigError(message, file=file, key=key, value=value, remedy=remedy)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("there is no such file", file=path, remedy="give the path of a detector.json") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path) from None
    try:
        document = json.loads(text, object_pairs_hook=_refuse_repeated_keys)
    except json.JSONDecodeError as error:
        raise ConfigError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}", file=path) from None
    except _RepeatedKeyError as error:
        raise ConfigError("this key stands twice", file=path, key=str(error)) from None
    if not isinstance(document, dict):
        raise ConfigError("is JSON, but not an object in braces", file=path)
    return document


class _RepeatedKeyError(ValueError):
    pass


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise _RepeatedKeyError(key)
        document[key] = value
    return document


def _keys(model: type[BaseModel], section: list[str]) -> Iterator[str]:
    names = iter(section)
    for name in names:
        field = model.model_fields.get(name)
        annotation = None if field is None else field.annotation
        if get_origin(annotation) is dict:  # a section for each name that users give
            annotation = get_args(annotation)[1]
            next(names, None)
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return
        model = annotation
    yield from model.model_fields
    if model is DetectorConfig:
        yield from SUPERSEDED_KEYS
