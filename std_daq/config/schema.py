"""The published JSON schema of a configuration, whatever system it describes."""

from typing import Any

from std_daq.config.platform import PlatformConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def published_schema(model: type[PlatformConfig], title: str) -> dict[str, Any]:
    """Return the JSON schema of the configurations that a model accepts.

    Superseded keys of existing files are in it, as deprecated. Checks across keys (are the modules within the image?)
    cannot be said in a schema.
    """
    schema = model.model_json_schema()
    schema.setdefault("$defs", {})
    schema["properties"] = {key: schema["properties"][key] for key in _keys(model)}
    for key, instead in model.superseded_keys.items():
        schema["properties"][key] = {"deprecated": True, "description": f"Ignored: {instead}."}
    schema.pop("title", None)
    return {"$schema": DIALECT, "title": title, **schema}


def _keys(model: type[PlatformConfig]) -> dict[str, None]:
    """Return the keys of a model in the order in which a reader wants them: its own before those of every system."""
    own_first = (name for kind in model.__mro__ for name in vars(kind).get("__annotations__", {}))
    fields = model.model_fields
    return dict.fromkeys(fields[name].alias or name for name in own_first if name in fields)
