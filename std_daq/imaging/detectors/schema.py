"""The options of each detector type in the JSON schema of ``detector.json``."""

from collections.abc import Sequence
from typing import Any

from std_daq.imaging.config.model import TYPE_SPELLINGS
from std_daq.imaging.detectors.registry import detector_class


def add_detector_options(schema: dict[str, Any], detector_types: Sequence[str]) -> dict[str, Any]:
    """Return a schema of ``detector.json`` to which the options of the given detector types are added."""
    definitions = dict(schema["$defs"])
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
    return schema | {"$defs": definitions, "allOf": rules}
