"""Loads a configuration; errors name the file, the key, the value and what to do."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from std_daq.config.bounds import MAX_DOCUMENT_BYTES, check_bounds
from std_daq.config.platform import PlatformConfig
from std_daq.config.section import FOLDER, SECRET, is_union_tag
from std_daq.config.wrong_input import fault_in_words, problem_in_words
from std_daq.errors import ConfigError
from std_daq.telemetry.logs import get_logger

Config = TypeVar("Config", bound=PlatformConfig)
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def read_config(path: Path | str, model: type[Config]) -> Config:
    """Load a configuration file.

    Parameters
    ----------
    path
        The file, in JSON.
    model
        The model of the configuration.

    Raises
    ------
    ConfigError
        The file or a value in it is wrong; the error has file, key, value and remedy.
    """
    path = Path(path)
    return check_config(read_document(path), model, path)


def check_config(document: dict[str, Any], model: type[Config], file: Path | str | None = None) -> Config:
    """Validate a parsed document; ``file`` is used in errors, and for paths that are relative to it."""
    check_bounds(document, file)
    superseded = [key for key in document if key in model.superseded_keys]
    for key in superseded:
        get_logger().warning("config_key_ignored", file=str(file), key=key, instead=model.superseded_keys[key])
    document = model.prepare({key: value for key, value in document.items() if key not in superseded})
    context = {} if file is None else {FOLDER: Path(file).absolute().parent}
    try:
        return validate_strictly(document, model, context)
    except ValidationError as error:
        raise config_error(error, model, file) from None


def validate_strictly(
    document: dict[str, Any], model: type[AnyModel], context: dict[str, Any] | None = None
) -> AnyModel:
    """Return a document as a model, as the published JSON schema says: ``"16"`` is no number.

    Raises
    ------
    ValidationError
        The document is not what the model describes.
    """
    return model.model_validate_json(json.dumps(document, default=str), strict=True, context=context)


def config_error(
    error: ValidationError, model: type[BaseModel], file: Path | str | None = None, prefix: str = ""
) -> ConfigError:
    """Return the first problem of a pydantic error as a ConfigError; for an unknown key, it suggests a known one."""
    # A misspelt required key gives two problems: unknown and missing. The user finds the unknown key in the file.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    location = [str(part) for part in first["loc"] if not is_union_tag(str(part))]
    key = ".".join([prefix, *location] if prefix else location) or None
    more = len(error.errors()) - 1
    remedy = f"and {more} more problem{'s' if more > 1 else ''}" if more else None
    if first["type"] == "extra_forbidden":
        known = list(_keys(model, location[:-1]))
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys here: {', '.join(sorted(known))}"
        return ConfigError("unknown key", file=file, key=key, remedy=hint)
    if first["type"] == "missing":
        return ConfigError("this required key is missing", file=file, key=key, remedy=remedy)
    message = problem_in_words(first)
    value = first["input"] if location and first["type"] != SECRET else None
    return ConfigError(message, file=file, key=key, value=value, remedy=remedy)


def read_document(path: Path, what: str = "a configuration") -> dict[str, Any]:
    """Return the content of a file in JSON; raises ConfigError if it is not a JSON object or repeats a key.

    ``what`` says in errors what the file should be.

    A repeated key is an error because JSON parsers silently use the last value.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_DOCUMENT_BYTES + 1)
        if len(content) > MAX_DOCUMENT_BYTES:
            raise ConfigError(f"has more than {MAX_DOCUMENT_BYTES} bytes, too many for {what}", file=path)
        text = content.decode()
    except FileNotFoundError:
        raise ConfigError("there is no such file", file=path, remedy=f"give the path of {what}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(fault_in_words(error), file=path) from None
    try:
        document = json.loads(text, object_pairs_hook=_refuse_repeated_keys)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(fault_in_words(error), file=path) from None
    except _RepeatedKeyError as error:
        raise ConfigError("this key is given twice", file=path, key=str(error)) from None
    except ValueError:  # what Python says of a number with more than 4300 digits
        raise ConfigError("has a number with thousands of digits", file=path) from None
    if not isinstance(document, dict):
        raise ConfigError("is JSON, but not an object ({...})", file=path)
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
        field = next((field for key, field in model.model_fields.items() if name == (field.alias or key)), None)
        annotation = None if field is None else field.annotation
        if get_origin(annotation) in {dict, list}:  # one section for each name that a user chooses, or for each index
            annotation = get_args(annotation)[-1]
            next(names, None)
        section_model = _section_model(annotation)
        if section_model is None:
            return
        model = section_model
    yield from (field.alias or key for key, field in model.model_fields.items())
    if issubclass(model, PlatformConfig):
        yield from model.superseded_keys


def _section_model(annotation: object) -> type[BaseModel] | None:
    """Return the model of a section, which may be one alternative of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_model, get_args(annotation))), None)
