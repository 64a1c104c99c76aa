"""The published JSON schema of a write request."""

from typing import Any

from std_daq.config.schema import DIALECT
from std_daq.config.section import Section
from std_daq.recording.requests import WriteRequest


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
    return {"$schema": DIALECT, "title": "write request of std-daq", **schema}
