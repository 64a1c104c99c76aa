"""The published JSON schema of ``detector.json``: the model, and the options of each detector type."""

from collections.abc import Sequence
from typing import Any

from std_daq.config.load import SUPERSEDED_KEYS, TYPE_SPELLINGS
from std_daq.config.model import DetectorConfig
from std_daq.detectors.registry import detector_class

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def published_schema(detector_types: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema for configurations of the given detector types.

    What is accepted is what `std_daq.config.load_config` accepts, spellings and superseded keys of existing files
    included; checks across keys (are the modules within the image?) cannot be said in a schema.
    """
    schema = DetectorConfig.model_json_schema()
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    rules = []
    for name in detector_types:
        options = detector_class(name).Options.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= options.pop("$defs", {})
        definitions[options["title"]] = options
        spellings = [name, *(spelling for spelling, (meant, _) in TYPE_SPELLINGS.items() if meant == name)]
        rules.append(
            {
                "if": {"properties": {"detector_type": {"enum": spellings}}},
                "then": {"properties": {"detector": {"$ref": f"#/$defs/{options['title']}"}}},
            }
        )
    for key, instead in SUPERSEDED_KEYS.items():
        schema["properties"][key] = {"deprecated": True, "description": f"Ignored: {instead}."}
    return {"$schema": DIALECT, "title": "detector.json of std-daq", **_without_title(schema), "allOf": rules}


def _without_title(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "title"}
