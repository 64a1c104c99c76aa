"""Refusals: requests, and attempts to open a WebSocket, that are answered with a problem document."""

from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from std_daq.telemetry.logs import get_logger
from std_web.problems import HttpProblem

_INTERNAL_ERROR = 1011
_NORMAL = 1000


class ErrorAnswers:
    """ASGI middleware that answers what nobody foresaw as it answers other errors, and logs it.

    Parameters
    ----------
    app
        Answers the requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        is_answered = False

        async def send_noted(message: Message) -> None:
            nonlocal is_answered
            is_refused = message["type"] == "websocket.close" and not is_answered
            is_answered = True
            if is_refused:
                await _refuse_websocket(_problem_of_close(message), scope, send)
            else:
                await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except (WebSocketDisconnect, ClientDisconnect):
            return
        except Exception as error:
            get_logger().error("request_failed", path=scope["path"], error=repr(error), exc_info=error)
            if not is_answered:
                await refuse(unforeseen(), scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": _INTERNAL_ERROR})
            else:  # the server ends the connection, so that the client does not take the answer for a whole one
                raise


async def refuse(problem: HttpProblem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or an attempt to open a WebSocket, with a problem."""
    if scope["type"] == "http":
        await problem.response(scope["path"])(scope, receive, send)
    else:
        await _refuse_websocket(problem, scope, send)


def unforeseen() -> HttpProblem:
    """Return the problem of an error that nobody foresaw."""
    detail = "an error that nobody has foreseen; the log of std-web has its trace"
    return HttpProblem(HTTPStatus.INTERNAL_SERVER_ERROR, detail=detail)


async def _refuse_websocket(problem: HttpProblem, scope: Scope, send: Send) -> None:
    """Answer as to any other request; the extension of ASGI for this is there with uvicorn."""
    response = problem.response(scope["path"])
    start = {"type": "websocket.http.response.start", "status": response.status_code, "headers": response.raw_headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})


def _problem_of_close(message: Message) -> HttpProblem:
    """Return the problem of a WebSocket that is closed before it has opened: there is none, or its query is wrong."""
    if message.get("code", _NORMAL) == _NORMAL:
        return HttpProblem(HTTPStatus.NOT_FOUND, detail="there is no WebSocket here")
    return HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "Wrong input", message.get("reason") or "")
