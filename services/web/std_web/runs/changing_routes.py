"""Routes that start and end runs."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, WithJsonSchema

from std_daq.errors import BrokerError, RequestRefusedError
from std_daq.recording.requests import WriteRequest, check_request_id
from std_web.detector_routes import DetectorName
from std_web.guard import missing_token, needs_token
from std_web.problems import HttpProblem
from std_web.runs.desk import RunDesk
from std_web.runs.desks import PREFIX, TAGS, RequestId, RunDesks, details_of
from std_web.runs.run_book import summary_of
from std_web.runs.run_view import RunPreview, RunView

# The agent answers a request within milliseconds; if its disk does not answer, after ten seconds.
_ANSWER_S = 3.0
Sent = TypeVar("Sent")


def _uuid(text: str) -> str:
    try:
        return check_request_id(text)
    except RequestRefusedError as error:
        raise ValueError(str(error)) from None


OwnId = Annotated[
    Annotated[str, AfterValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})] | None,
    Query(
        max_length=64,
        description="Id for the request, the text of a UUID. Who does not know whether a request has arrived sends it "
        "again with the same id; it is carried out once.",
    ),
]


def router(desks: RunDesks) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix=PREFIX, tags=TAGS)

    @routes.post("", summary="Start a run", status_code=201, dependencies=[needs_token])
    async def start_run(
        detector: DetectorName, request: WriteRequest, response: Response, request_id: OwnId = None
    ) -> RunView:
        """Send a write request, and wait a moment for the answer of the writer agent.

        `state` is `sent` if the agent has not answered; the broker keeps the request for it.
        """
        desk = desks.of(detector)
        await _refuse_early(desk, request)
        run = await asyncio.to_thread(_sent, desk.start, request, request_id)
        told = await desk.wait_for(run.request_id, "queued", "started", "ended", timeout_s=_ANSWER_S) or run
        if told.verdict == "refused":
            raise HttpProblem(HTTPStatus.CONFLICT, "Request refused", told.reason)
        response.headers["Location"] = f"runs/{told.request_id}"
        return summary_of(told)

    @routes.post("/preview", summary="Check a request without sending it")
    async def preview_run(detector: DetectorName, request: WriteRequest, http: Request) -> RunPreview:
        """Return the file that a run would have, or why its request would be refused.

        It needs the token if `writer.output_roots` of the configuration names no folders: the answer tells which files
        there are.

        The writer agent is asked, so folders, rights, existing files, files of other requests and the room on the disk
        are checked as it would check them.
        """
        desk = desks.of(detector)
        if not desk.roots and not http.state.may_change:
            raise missing_token()
        return await asyncio.to_thread(desk.preview, request)

    @routes.post("/{request_id}/kill", summary="End a run", status_code=202, dependencies=[needs_token])
    async def kill_run(detector: DetectorName, request_id: RequestId) -> RunView:
        """Ask the writer agent to end a run; the images that came are still written. Follow the run to its end."""
        desk = desks.of(detector)
        run = await details_of(desk, request_id)
        if run.state != "ended":
            await asyncio.to_thread(_sent, desk.kill, request_id)
        return summary_of(run)

    return routes


async def _refuse_early(desk: RunDesk, request: WriteRequest) -> None:
    """Refuse a request that the agent would refuse; if it does not answer, the broker keeps the request for it."""
    preview = await asyncio.to_thread(desk.preview, request)
    if preview.is_checked and preview.refusal is not None:
        raise HttpProblem(HTTPStatus.CONFLICT, "Request refused", preview.refusal)


def _sent(send: Callable[..., Sent], *arguments: object) -> Sent:
    try:
        return send(*arguments)
    except RequestRefusedError as error:
        raise HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "Wrong input", str(error)) from None
    except BrokerError as error:
        raise HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, "Broker away", str(error)) from None
