"""Errors of the API, as problem documents (RFC 9457)."""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from std_daq.config.wrong_input import problem_in_words
from std_daq.errors import StdDaqError

MEDIA_TYPE = "application/problem+json"
_FAULTS_SHOWN = 5


class ProblemDocument(BaseModel):
    """What went wrong with a request."""

    type: str = Field("about:blank", description="Kind of the problem; about:blank: the status says it.")
    title: str = Field(description="The problem in a few words, the same each time it occurs.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field("", description="What is wrong with this request, and what to do.")
    instance: str = Field("", description="Path of the request.")


class HttpProblem(Exception):  # noqa: N818 - the name in the standard
    """A request that cannot be answered; the client is told in a problem document.

    Parameters
    ----------
    status
        The HTTP status.
    title
        The problem in a few words, the same each time it occurs; by default the usual words of the status.
    detail
        What is wrong with this request, and what to do.
    headers
        Headers of the answer, in addition to its type.
    """

    def __init__(
        self, status: int, title: str = "", detail: str = "", *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.headers = headers or {}

    def response(self, path: str) -> Response:
        """Return the problem document, as an answer to a request for this path."""
        document = ProblemDocument(title=self.title, status=self.status, detail=self.detail, instance=path)
        # Paths may have been decoded from bytes that are no text.
        body = json.dumps(document.model_dump(mode="python")).encode()
        return Response(body, self.status, {**self.headers, "Cache-Control": "no-store"}, MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Make an application answer every error with a problem document."""
    app.add_exception_handler(HttpProblem, _handler(lambda error: error))
    app.add_exception_handler(HTTPException, _handler(_of_http))
    app.add_exception_handler(RequestValidationError, _handler(_of_validation))
    app.add_exception_handler(StdDaqError, _handler(_of_platform))


def _described(text: str) -> dict[str, Any]:
    return {"model": ProblemDocument, "description": text, "content": {MEDIA_TYPE: {}}}


RESPONSES: dict[int | str, dict[str, Any]] = {
    503: _described("A service of the detector, the broker or the console itself cannot answer now; ask again later."),
    "default": _described("A problem document."),
}


def _handler(problem_of: Callable[[Any], HttpProblem]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        return problem_of(error).response(request.url.path)

    return handle


def _of_http(error: HTTPException) -> HttpProblem:
    headers = dict(error.headers or {})
    usual = HTTPStatus(error.status_code).phrase
    return HttpProblem(error.status_code, usual, "" if error.detail == usual else str(error.detail), headers=headers)


def _of_validation(error: RequestValidationError) -> HttpProblem:
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'])}: {problem_in_words(fault)}"
        for fault in error.errors()[:_FAULTS_SHOWN]
    ]
    return HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "Wrong input", "; ".join(faults))


def _of_platform(error: StdDaqError) -> HttpProblem:
    return HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, "Not possible", str(error))
