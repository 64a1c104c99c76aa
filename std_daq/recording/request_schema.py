"""The published JSON schema of a write request."""

from typing import Any

from pydantic import JsonValue

from std_daq.config.schema import DIALECT
from std_daq.config.section import Section
from std_daq.recording.requests import WriteRequest

_IS_ABSENT: JsonValue = {"type": "null"}
# What the members demand of each other. The validators of the model refuse the same, in words for the user.
_RULES: list[JsonValue] = [
    {"anyOf": [{"properties": {"images_per_file": _IS_ABSENT}}, {"properties": {"n_files": _IS_ABSENT}}]},
    {
        "anyOf": [
            {"properties": {"compression_level": _IS_ABSENT}},
            {"properties": {"compression": {"const": "bszstd"}}, "required": ["compression"]},
        ]
    },
    {
        "anyOf": [
            {"properties": {"format": {"enum": ["hdf5", "graw", "hdf5+graw"]}}},
            {"properties": {"compression": {"const": "none"}, "n_files": _IS_ABSENT}},
        ]
    },
]


def request_schema(experiment: type[Section] | None) -> dict[str, Any]:
    """Return the JSON schema of the body of a write request, with what its members demand of each other.

    Parameters
    ----------
    experiment
        Model of the section ``experiment``, from the detector system; None if the system does not check it.
    """
    schema = WriteRequest.model_json_schema()
    schema.pop("title")
    definitions = schema.setdefault("$defs", {})
    if experiment is not None:
        section = experiment.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= section.pop("$defs", {}) | {experiment.__name__: section}
        description = schema["properties"]["experiment"]["description"]
        schema["properties"]["experiment"] = {"$ref": f"#/$defs/{experiment.__name__}", "description": description}
    return {"$schema": DIALECT, "title": "write request of std-daq", "allOf": _RULES, **schema}
