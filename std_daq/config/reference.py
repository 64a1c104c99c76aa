"""Makes the configuration reference, a page of Markdown, from the published schema."""

import json
from collections.abc import Iterator
from typing import Any

_HEAD = """# Configuration

`{file}` describes one system and all of its services. `std-daq config check FILE` checks a file. An unknown key is an
error, which suggests the nearest known key. `std-daq config reference` makes this page from the schema
([{schema}]({schema}), printed by `std-daq config schema`).
"""


def reference_page(schema: dict[str, Any], file: str) -> str:
    """Return the reference page of a configuration.

    Parameters
    ----------
    schema
        The schema that `std_daq.config.system.System.schema` returns.
    file
        Usual name of the configuration file, for example ``detector.json``.
    """
    definitions: dict[str, Any] = schema["$defs"]
    head = _HEAD.format(file=file, schema=file.replace(".json", ".schema.json"))
    parts = [head, "## Top level\n", _table(schema, definitions)]
    for name, section in _sections(schema, definitions):
        parts += [f"## `{name}`\n", f"{section['description']}\n", _table(section, definitions)]
    for rule in schema.get("allOf", ()):
        options = definitions[rule["then"]["properties"]["detector"]["$ref"].rpartition("/")[2]]
        name = rule["if"]["properties"]["detector_type"]["enum"][0]
        parts += [f"## `detector` of type `{name}`\n"]
        parts += [_table(options, definitions)] if options.get("properties") else ["No options.\n"]
    if any(field.get("deprecated") for field in schema["properties"].values()):
        parts += ["## Keys of older files that are ignored\n", _superseded_table(schema)]
    return "\n".join(parts)


def _table(section: dict[str, Any], definitions: dict[str, Any]) -> str:
    required = set(section.get("required", ()))
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in section["properties"].items():
        if field.get("deprecated"):
            continue
        is_section = _section(field, definitions) is not None
        kind = _section_type(field, definitions) if is_section else _type(field, definitions)
        default = "**required**" if key in required else "" if is_section else _default(field)
        meaning = field.get("description", "")
        cells = (f"`{key}`", kind, default, f"{meaning} {_limits(field)}".strip())
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _superseded_table(schema: dict[str, Any]) -> str:
    rows = [
        f"| `{key}` | {field['description'].removeprefix('Ignored: ')} |"
        for key, field in schema["properties"].items()
        if field.get("deprecated")
    ]
    return "\n".join(["| key | instead |", "|---|---|", *rows]) + "\n"


def _sections(
    parent: dict[str, Any], definitions: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the sections below a section with their full names; a section comes before its own sections."""
    for key, field in parent["properties"].items():
        section = _section(field, definitions)
        if section is not None:
            name = f"{prefix}{key}{_suffix(field)}"
            yield name, section
            yield from _sections(section, definitions, f"{name}.")


def _suffix(field: dict[str, Any]) -> str:
    if field.get("type") == "array":
        return "[]"
    return ".<name>" if "patternProperties" in field else ""


def _section(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of the section in a field, in its list, or in its dictionary; None if it has plain values."""
    lists_and_names = (field.get("items", {}), *field.get("patternProperties", {}).values())
    parts = (field, *field.get("allOf", ()), *_options(field), *lists_and_names)
    references = [part["$ref"] for part in parts if "$ref" in part]
    if not references:
        return None
    definition: dict[str, Any] = definitions[references[0].rpartition("/")[2]]
    return definition if "properties" in definition else None


def _section_type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    section = "list of sections" if field.get("type") == "array" else "section"
    words = (_type(option, definitions) for option in _options(field) if "$ref" not in option)
    return " or ".join([section, *words])


def _options(field: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alternatives of a field, without null."""
    options = (*field.get("anyOf", ()), *field.get("oneOf", ()))
    return [option for option in options if option.get("type") != "null"]


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if options := _options(field):
        return " or ".join(dict.fromkeys(_type(option, definitions) for option in options))
    if "enum" in field or "const" in field:
        values = field.get("enum", [field.get("const")])
        return ", ".join(f"`{json.dumps(value)}`" for value in values)
    if "$ref" in field:
        return _type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    if field.get("type") == "array":
        items = field.get("items") or (field.get("prefixItems") or [{}])[0]
        length = f"{field['minItems']} " if field.get("minItems") == field.get("maxItems", -1) else ""
        return f"list of {length}{_type(items, definitions)}"
    if field.get("format") == "path":
        return "path"
    return str(field.get("type", "any"))


def _default(field: dict[str, Any]) -> str:
    if field.get("default") is None:
        return ""
    return f"`{json.dumps(field['default'])}`"


_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _limits(field: dict[str, Any]) -> str:
    limits = list(_limit_texts(field))
    return f"({', '.join(limits)})" if limits else ""


def _limit_texts(field: dict[str, Any]) -> Iterator[str]:
    for part in (field, *field.get("anyOf", ())):
        for key, sign in _LIMITS.items():
            if key in part:
                yield f"{sign} {part[key]:.12g}"
        if "pattern" in part:
            yield f"`{part['pattern']}`"
