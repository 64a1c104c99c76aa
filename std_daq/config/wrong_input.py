"""What is wrong with an input, in words of JSON and of the keys, instead of those of the libraries that read it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_FORMS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$": (
        "a name has letters, digits, '.', '_' and '-', begins with a letter or digit, and is at most 63 long"
    ),
    r"^[A-Za-z][A-Za-z0-9_]{0,62}$": "a name has letters, digits and '_', begins with a letter, and is at most 63 long",
    r"^(tcp://[^\s/]+:\d+|ipc://\S+)$": "an address is tcp://HOST:PORT or ipc://PATH",
    r"^[^\x00]*$": "a text may not have a NUL character",
}
# What a value must be, by the type of pydantic's error.
_KINDS = {
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number, without quotation marks"
    ),
    **dict.fromkeys(("float_type", "float_parsing"), "a number, without quotation marks"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false, without quotation marks"),
    **dict.fromkeys(("string_type", "path_type"), "a text, in quotation marks"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list, [...]"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "an object, {...}"),
}
_SHOULD = re.compile(r"^(Input|String|List|Tuple|Dictionary|Value) should ")
_COMMENTS = ("//", "/*", "#")


def json_in_words(text: str, error: json.JSONDecodeError) -> str:
    """Return what is wrong with a text that is not JSON, and where."""
    rest = text[error.pos :].lstrip()
    place = f"line {error.lineno}, column {error.colno}"
    if not text.strip():
        return "the file is empty"
    if not rest:
        return "it ends too early: a bracket or a quotation mark is not closed"
    return f"{_fault_at(rest, error.msg)} in {place}"


def fault_in_words(error: Exception) -> str:
    """Return what is wrong with a file that was read as JSON, in words that follow the name of the file.

    Parameters
    ----------
    error
        What reading, parsing or checking it has raised.
    """
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: {json_in_words(error.doc, error)}"
    if isinstance(error, UnicodeDecodeError):
        return f"is not a text in UTF-8: its byte {error.start} is none; save it as UTF-8"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"key '{'.'.join(map(str, first['loc']))}': {problem_in_words(first)}"
    if isinstance(error, KeyError):
        return f"has no key {error}"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return f"is not as it should be: {' '.join(str(error).split())}"


def problem_in_words(problem: Mapping[str, Any]) -> str:
    """Return the message of a problem that pydantic has found."""
    if problem["type"] == "string_pattern_mismatch":
        pattern = problem["ctx"]["pattern"]
        return _FORMS.get(pattern, f"it does not have the form {pattern} (a regular expression)")
    words = _KINDS.get(problem["type"])
    if words is not None:
        return f"must be {words}"
    text = str(problem["msg"]).removeprefix("Value error, ")
    return _SHOULD.sub("must ", text)


def _fault_at(rest: str, message: str) -> str:
    """Return what is wrong where the parser has stopped; ``rest`` begins there."""
    if rest.startswith(_COMMENTS):
        return "JSON has no comments; there is one"
    if rest.startswith("'"):
        return "JSON writes texts between \" and \", not between ' and '; there is a '"
    if message.startswith("Extra data"):
        return "there is something after the end"
    if message.startswith("Invalid control character"):
        return "a text goes over the end of a line, or has a tab; there is one"
    if rest[0] in "]}" or "trailing comma" in message:
        return "there is a comma too many before the bracket"
    if message.startswith("Expecting ',' delimiter"):
        return "a comma or a closing bracket is missing"
    if message.startswith("Expecting ':' delimiter"):
        return "a ':' is missing"
    word = rest.split(maxsplit=1)[0].rstrip(",:]}")
    if word[:1].isalpha():
        return f"'{word}' needs quotation marks, or is true, false or null; there it stands"
    return message[:1].lower() + message[1:]
