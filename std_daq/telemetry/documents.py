"""Documents: JSON that a service offers at its endpoint, beside its metrics and its health."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from std_daq.telemetry.logs import get_logger

_MAX_FIELDS = 20

Query = Mapping[str, str]
"""The query of a request: its names and values, each name once."""


class QueryRefusedError(Exception):
    """A document cannot be given for this query.

    Parameters
    ----------
    reason
        What is wrong, and what to do.
    status
        Status of the answer.
    """

    def __init__(self, reason: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Parameters
    ----------
    answer
        Returns what `json.dumps` takes; raises QueryRefusedError. It is called in a thread of the endpoint, several
        times at once.
    is_of_machine
        Whether it is given at the Unix socket alone: to users of this machine who may use the runtime directory.
    """

    answer: Callable[[Query], object]
    is_of_machine: bool = False

    def respond(self, query: str) -> tuple[HTTPStatus, object]:
        """Return the status and the content of the answer to a query, as it is in the URL."""
        try:
            fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except ValueError:
            return HTTPStatus.BAD_REQUEST, {"reason": f"the query has more than {_MAX_FIELDS} values"}
        try:
            return HTTPStatus.OK, self.answer(fields)
        except QueryRefusedError as error:
            return error.status, {"reason": str(error)}
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is one answer that fails
            get_logger().exception("document_failed", query=query[:1000])
            return HTTPStatus.INTERNAL_SERVER_ERROR, {"reason": repr(error)}


def number_in(query: Query, name: str, default: int | None, *, lowest: int, highest: int) -> int | None:
    """Return an integer of a query; raises QueryRefusedError if it is none, or out of bounds."""
    text = query.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(highest))
    if not is_number or not lowest <= int(text) <= highest:
        raise QueryRefusedError(f"{name} is an integer from {lowest} to {highest}, not '{text[:40]}'")
    return int(text)
