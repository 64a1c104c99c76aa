"""The published JSON schema of the configuration of any system."""

from typing import Any

from std_daq.config.platform import PlatformConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def published_schema(model: type[PlatformConfig], title: str) -> dict[str, Any]:
    """Return the JSON schema of the configurations that a model accepts.

    The schema contains superseded keys as deprecated. It does not contain checks that involve several keys, for example
    that all modules lie within the image.
    """
    schema = model.model_json_schema()
    schema.setdefault("$defs", {})
    schema["properties"] = {key: schema["properties"][key] for key in _keys(model)}
    for key, instead in model.superseded_keys.items():
        schema["properties"][key] = {"deprecated": True, "description": f"Ignored: {instead}."}
    schema.pop("title", None)
    return {"$schema": DIALECT, "title": title, **schema}


def _keys(model: type[PlatformConfig]) -> dict[str, None]:
    """Return the keys of a model in reading order: its own keys before those of every system."""
    own_first = (name for kind in model.__mro__ for name in vars(kind).get("__annotations__", {}))
    fields = model.model_fields
    return dict.fromkeys(fields[name].alias or name for name in own_first if name in fields)
