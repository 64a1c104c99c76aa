"""Fields of a model: the values in a JSON schema, and documents in which one of them has another value."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a model.

    Attributes
    ----------
    path
        Keys that lead to it; ``[]`` stands for the values of a list, ``*`` for those of an object with any keys.
    schema
        What the model says of it.
    """

    path: tuple[str, ...]
    schema: Document

    @property
    def name(self) -> str:
        """The keys in one text."""
        return ".".join(self.path)

    @property
    def is_number(self) -> bool:
        """Whether it may be any number within bounds."""
        return self.schema.get("type") in {"integer", "number"} and not {"const", "enum"} & self.schema.keys()

    @property
    def is_bounded(self) -> bool:
        """Whether the number has a smallest and a largest value."""
        return bool(
            {"minimum", "exclusiveMinimum"} & self.schema.keys()
            and {"maximum", "exclusiveMaximum"} & self.schema.keys()
        )

    def allows(self, number: float) -> bool:
        """Return whether a number lies within the bounds."""
        bounds: dict[str, float] = {key: value for key, value in self.schema.items() if "imum" in key.lower()}
        low = bounds.get("minimum", bounds.get("exclusiveMinimum", -math.inf))
        high = bounds.get("maximum", bounds.get("exclusiveMaximum", math.inf))
        return low <= number <= high


def fields_of(schema: Document) -> list[Field]:
    """Return each value of a model from its JSON schema, also those in sections, lists and alternatives."""
    return list(_walk(schema, schema, (), ()))


def _walk(root: Document, node: Document, path: tuple[str, ...], seen: tuple[str, ...]) -> Iterator[Field]:
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from _walk(root, root["$defs"][name], path, (*seen, name))
        return
    # Beside properties, these are what the properties demand of each other.
    if "properties" not in node:
        alternatives = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
        for alternative in alternatives:
            yield from _walk(root, alternative, path, seen)
        if alternatives:
            return
    yield Field(path, node)
    for key, inner in node.get("properties", {}).items():
        yield from _walk(root, inner, (*path, key), seen)
    for items in [node["items"]] if "items" in node else node.get("prefixItems", ()):
        yield from _walk(root, items, (*path, "[]"), seen)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _walk(root, node["additionalProperties"], (*path, "*"), seen)


def changed(node: Any, path: tuple[str, ...], value: object) -> Any:
    """Return a document in which a field has this value; of a list or an object with any keys, the first value."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if key == "[]":
        values = node if isinstance(node, list) and node else [None]
        return [changed(values[0], rest, value), *values[1:]]
    section: Document = node if isinstance(node, dict) else {}
    if key == "*":
        key = next(iter(section), "0")
    return section | {key: changed(section.get(key), rest, value)}
