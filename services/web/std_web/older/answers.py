"""Answers of the older interface: HTTP 200 and JSON with ``status`` and ``message``, also for errors."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic_core import from_json

from std_daq.errors import StdDaqError
from std_daq.telemetry.logs import get_logger
from std_web.guard import missing_token
from std_web.problems import HttpProblem

Handler = Callable[[Request], Awaitable[dict[str, Any] | Response]]


class OlderError(Exception):
    """A request that cannot be carried out; its text is the message for the client."""


def answered(handle: Handler, *, changes: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """Return a route that answers with what a handler returns, or with the error that it raises.

    Parameters
    ----------
    handle
        Returns the keys of the answer beside ``status`` and ``message``, or the whole answer.
    changes
        Whether a request needs the token.
    """

    async def answer(request: Request) -> Response:
        try:
            if changes and not request.state.may_change:
                raise missing_token()
            found = await handle(request)
        except HttpProblem as error:
            return _error(": ".join(filter(None, (error.title, error.detail))))
        except (OlderError, StdDaqError) as error:
            return _error(str(error))
        except OSError as error:
            return _error(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        except Exception as error:  # noqa: BLE001 - the client is told, as it expects: with HTTP 200
            get_logger().error("request_failed", path=request.url.path, error=repr(error), exc_info=error)
            return _error("an error that nobody has foreseen; the log of std-web has its trace")
        return found if isinstance(found, Response) else JSONResponse({"status": "ok", "message": "", **found})

    return answer


async def body_of(request: Request) -> dict[str, Any]:
    """Return the body of a request, a JSON object, empty if there is no body; raises OlderError if it is none."""
    content = await request.body()
    try:
        # It refuses NaN and halves of surrogates, which no answer could repeat.
        document = from_json(content or b"{}", allow_inf_nan=False)
    except ValueError:
        raise OlderError("the body of the request is not JSON") from None
    if not isinstance(document, dict):
        raise OlderError("the body of the request is not a JSON object ({...})")
    return document


def _error(message: str) -> Response:
    return JSONResponse({"status": "error", "message": message})
