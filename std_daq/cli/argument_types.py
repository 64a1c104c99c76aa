"""Types of command-line arguments: each converts a text, or says what is wrong with it."""

import argparse
import json
import math
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

from std_daq.errors import ConfigError
from std_daq.number_arguments import integer, number

_MAX_PORT = 65535


def output_path(text: str) -> Path:
    """Convert a text to the path of a file that is to be made."""
    if not text.strip() or text.endswith(("/", "/.", "/..")) or text in {".", ".."}:
        raise argparse.ArgumentTypeError(f"'{text}' names no file")
    return Path(text)


def positive_integer(text: str) -> int:
    """Convert a text to an integer of at least 1."""
    value = integer(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def natural_number(text: str) -> int:
    """Convert a text to an integer of at least 0."""
    value = integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is less than 0")
    return value


def request_id(text: str) -> str:
    """Return the id of a request: the text of a UUID."""
    try:
        uuid.UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not the id of a request, such as {uuid.UUID(int=0)}; std-daq write and status print it"
        ) from None
    return text


def port_number(text: str) -> int:
    """Convert a text to a port number, from 1 to 65535."""
    value = integer(text)
    if not 1 <= value <= _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{value} is not a port number from 1 to {_MAX_PORT}")
    return value


def positive_number(text: str) -> float:
    """Convert a text to a finite number greater than 0."""
    value = number(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number greater than 0")
    return value


def non_negative_number(text: str) -> float:
    """Convert a text to a finite number of at least 0."""
    value = number(text)
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number from 0")
    return value


def probability(text: str) -> float:
    """Convert a text to a number from 0 to 1."""
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a probability from 0 to 1")
    return value


def user(text: str) -> str | int:
    """Convert a text to the number of a user; what is no number is a name."""
    return int(text) if text.isascii() and text.isdecimal() else text


def broker_url(text: str) -> str:
    """Check the URL of a broker; it must not contain a password, because all users of the machine see command lines."""
    from std_daq.amqp.address import url_argument

    return url_argument(text)


def broker_tag(text: str) -> str:
    """Check the tag of a system, which is part of its names at the broker."""
    from std_daq.amqp.topology import check_tag

    try:
        return check_tag(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error.problem}") from None


def stream_address(text: str) -> str:
    """Check the address of a stream: tcp://HOST:PORT or ipc://PATH."""
    form = re.fullmatch(r"tcp://[^/]+:(\d{1,5})|ipc://.+", text)
    if form is None or int(form[1] or 1) not in range(1, _MAX_PORT + 1):
        raise argparse.ArgumentTypeError(f"'{text}' is not an address such as tcp://127.0.0.1:20000")
    return text


def scheduler_address(text: str) -> str:
    """Check the address of a Dask scheduler: HOST:PORT, or tcp://HOST:PORT and the like."""
    form = re.fullmatch(r"([a-z]+://)?[^/\s]+:(\d{1,5})", text)
    if form is None or int(form[2]) not in range(1, _MAX_PORT + 1):
        raise argparse.ArgumentTypeError(f"'{text}' is not an address such as tcp://10.0.0.1:8786")
    return text


def regular_expression(text: str) -> str:
    """Check that a text is a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no regular expression: {error}") from None
    return text


def measured_item(text: str) -> tuple[str, float]:
    """Split NAME=VALUE, whose value is a finite number."""
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form NAME=VALUE")
    measured = number(value)
    if not math.isfinite(measured):
        raise argparse.ArgumentTypeError(f"'{text}': the value is not a finite number")
    return name, measured


def moment(text: str) -> datetime:
    """Convert a text of ISO 8601 to a moment; without a time zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 2026-01-31T12:00:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def metadata_item(text: str) -> tuple[str, str | int | float | bool]:
    """Split KEY=VALUE; converts a value that is a JSON number or boolean, and leaves other values as text."""
    key, separator, value = text.partition("=")
    if not (key and separator):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY=VALUE")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return key, value
    return key, parsed if isinstance(parsed, int | float | bool) else value
