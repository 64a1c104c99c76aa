"""Reads a geometry file; errors name the file, the key, the value and what to do."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from std_daq.config.load import read_document
from std_daq.config.wrong_input import fault_in_words
from std_daq.errors import ConfigError
from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.optics_sections import AnySurface
from std_daq.photons.geometry.solid_sections import AnySolid, Mesh, Solid

_WHAT = "a geometry file; std-sim convert makes one of a GDML"
_YAML = {".yaml", ".yml"}
_SHOWN = 60  # characters of a wrong value


def read_geometry(path: Path | str) -> GeometryFile:
    """Read a geometry file, in JSON, or in YAML where its name ends in .yaml or .yml.

    Raises
    ------
    ConfigError
        The file or a value in it is wrong; the error has file, key, value and remedy.
    """
    path = Path(path)
    return check_geometry(_read_yaml(path) if path.suffix in _YAML else read_document(path, _WHAT), path)


def check_geometry(document: dict[str, Any], file: Path | str | None = None) -> GeometryFile:
    """Validate a parsed document; ``file`` is only used in errors."""
    try:
        geometry = GeometryFile.model_validate(document)
    except ValidationError as error:
        raise _config_error(error, file) from None
    for key, problem, value, remedy in _wrong_references(geometry):
        raise ConfigError(problem, file=file, key=key, value=value, remedy=remedy)
    for key, problem, value, remedy in _wrong_channels(geometry):
        raise ConfigError(problem, file=file, key=key, value=value, remedy=remedy)
    return geometry


def solids_with_keys(geometry: GeometryFile) -> Iterator[tuple[str, Solid]]:
    """Return all solids, those of parts included, with the key of each."""
    yield from ((f"solids.{i}", solid) for i, solid in enumerate(geometry.solids))
    for name, solids in geometry.parts.items():
        yield from ((f"parts.{name}.{i}", solid) for i, solid in enumerate(solids))


def channels_with_keys(geometry: GeometryFile) -> Iterator[tuple[str, int]]:
    """Return all channels with the key that gives each."""
    for i, solid in enumerate(geometry.solids):
        if solid.channel is not None:
            yield f"solids.{i}.channel", solid.channel
        for name, face in solid.faces.items():
            if face.channel is not None:
                yield f"solids.{i}.faces.{name}.channel", face.channel
    for i, array in enumerate(geometry.arrays):
        if array.first_channel is not None:
            for channel in range(array.first_channel, array.first_channel + len(array.positions)):
                yield f"arrays.{i}.first_channel", channel


_Problem = tuple[str, str, object, str | None]


def _wrong_references(geometry: GeometryFile) -> Iterator[_Problem]:
    for key, solid in solids_with_keys(geometry):
        for side in ("inner", "outer"):
            yield from _unless_known(f"{key}.{side}", getattr(solid, side), geometry.materials, "material")
        if solid.surface is not None:
            yield from _unless_known(f"{key}.surface", solid.surface, geometry.surfaces, "surface")
        for name, face in solid.faces.items():
            if face.surface is not None:
                yield from _unless_known(f"{key}.faces.{name}.surface", face.surface, geometry.surfaces, "surface")
        if key.startswith("parts."):
            yield from _channels_in_part(key, solid)
        if isinstance(solid, Mesh) and solid.file is not None and Path(solid.file).suffix.lower() not in MESH_SUFFIXES:
            yield f"{key}.file", "is no mesh", solid.file, "its name must end in .stl, .obj or .ply"
    for i, array in enumerate(geometry.arrays):
        yield from _unless_known(f"arrays.{i}.part", array.part, geometry.parts, "part")


MESH_SUFFIXES = {".stl", ".obj", ".ply"}


def _unless_known(key: str, name: str, known: dict[str, Any], what: str) -> Iterator[_Problem]:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"add it to {what}s, or take one of: {', '.join(known) or '-'}"
        yield key, f"there is no such {what}", name, hint


def _channels_in_part(key: str, solid: Solid) -> Iterator[_Problem]:
    remedy = "leave it out; the places of an array are its channels: first_channel"
    faces = [(f"{key}.faces.{name}.channel", face.channel) for name, face in solid.faces.items()]
    for where, channel in [(f"{key}.channel", solid.channel), *faces]:
        if channel is not None:
            yield where, "a solid of a part has no channel of its own", channel, remedy


def _wrong_channels(geometry: GeometryFile) -> Iterator[_Problem]:
    given: dict[int, str] = {}
    for key, channel in channels_with_keys(geometry):
        if channel in given:
            yield key, f"channel {channel} is given already, by {given[channel]}", None, "give each channel once"
        given[channel] = key
    missing = next((channel for channel in range(len(given)) if channel not in given), None)
    if missing is not None:
        highest = max(given)
        remedy = f"channels are 0 to {len(given) - 1} where there are {len(given)} of them"
        yield given[highest], f"channel {highest} is given, but not channel {missing}", None, remedy


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _yaml_loader())  # noqa: S506 -- a safe loader
    except FileNotFoundError:
        raise ConfigError("there is no such file", file=path, remedy=f"give the path of {_WHAT}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(fault_in_words(error), file=path) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())}", file=path) from None
    if not isinstance(document, dict):
        raise ConfigError("is YAML, but not a mapping (key: value)", file=path)
    return document


def _yaml_loader() -> Any:
    """Return a loader that refuses keys given twice, and reads 1e5 as a number as JSON does."""
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            for name in names:
                if names.count(name) > 1:
                    raise yaml.constructor.ConstructorError(None, None, f"key {name!r} is given twice", node.start_mark)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
    return Loader


def _config_error(error: ValidationError, file: Path | str | None) -> ConfigError:
    """Return the first problem of a pydantic error; unknown keys come first, because a misspelt key is also missing."""
    problems = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    first = problems[0]
    location, model = _without_tags(first["loc"])
    key = ".".join(location) or None
    more = f"and {len(problems) - 1} more problem{'s' if len(problems) > 2 else ''}" if len(problems) > 1 else None
    if first["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in model.model_fields.items()]
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys here: {', '.join(sorted(known))}"
        return ConfigError("unknown key", file=file, key=key, remedy=hint)
    if first["type"] == "missing":
        return ConfigError("this required key is missing", file=file, key=key, remedy=more)
    if first["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        chooser = first["ctx"]["discriminator"].strip("'")
        names = f"one of: {', '.join(SHAPES if chooser == 'shape' else SURFACE_MODELS)}"
        if first["type"] == "union_tag_not_found":
            return ConfigError("this required key is missing", file=file, key=f"{key}.{chooser}", remedy=names)
        given = first["ctx"]["tag"]
        return ConfigError(f"there is no such {chooser}", file=file, key=f"{key}.{chooser}", value=given, remedy=names)
    message = first["msg"].removeprefix("Value error, ")
    value = first["input"] if len(repr(first["input"])) <= _SHOWN and location else None
    return ConfigError(message, file=file, key=key, value=value, remedy=more)


_SOLID_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["shape"].annotation)[0]: model for model in get_args(get_args(AnySolid)[0])
}
_SURFACE_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["model"].annotation)[0]: model for model in get_args(AnySurface)
}
SHAPES = tuple(_SOLID_MODELS)
SURFACE_MODELS = tuple(_SURFACE_MODELS)


def _without_tags(location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """Return the key of a location without the names of models that pydantic adds, and the model that has the key."""
    keys: list[str] = []
    model: type[BaseModel] = GeometryFile
    tags = {**_SOLID_MODELS, **_SURFACE_MODELS}
    depth = {"solids": 2, "surfaces": 2, "parts": 3}.get(str(location[0]) if location else "", -1)
    for i, part in enumerate(location):
        if i == depth and part in tags:
            model = tags[str(part)]
            continue
        if i < len(location) - 1:
            model = _section_of(model, str(part)) or model
        keys.append(str(part))
    return keys, model


def _section_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the section that a key of a model holds: itself, or in a list, in a dictionary, or if it is not null."""
    field = model.model_fields.get(name)
    return None if field is None else next(_sections_in(field.annotation), None)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)
