"""Routes that list and show runs."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from std_daq.imaging.config.model import DetectorConfig
from std_web.detector_routes import DetectorName
from std_web.filed_images.order import PictureOrder
from std_web.filed_images.pictures import FiledPictures, PictureError
from std_web.problems import HttpProblem
from std_web.runs.agent_documents import AgentAwayError
from std_web.runs.desk import RunDesk
from std_web.runs.desks import PREFIX, TAGS, RequestId, RunDesks, details_of
from std_web.runs.run_book import summary_of
from std_web.runs.run_view import RunDetails, RunList, RunView, merged

_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "The picture."}}


MAX_SIZE = 512
DEFAULT_SIZE = 160


def router(desks: RunDesks, pictures: FiledPictures) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix=PREFIX, tags=TAGS)

    @routes.get("", summary="Runs, newest first")
    async def list_runs(
        detector: DetectorName,
        search: Annotated[
            str, Query(max_length=500, description="Words that a run has to have: file, user, sample, verdict, ...")
        ] = "",
        before: Annotated[
            str | None, Query(pattern="^[0-9]{1,18}$|^[1-8][0-9]{18}$", description="The `before` of the last list.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="Longest list.")] = 30,
    ) -> RunList:
        """Return the runs in the journal of the writer agent, with the progress of those that go on.

        While the agent does not answer, only runs that the console itself has heard of are listed.
        """
        desk = desks.of(detector)
        try:
            page = await asyncio.to_thread(desk.agent.runs, search=search, before=before, limit=limit)
        except AgentAwayError as error:
            heard = [] if search or before else [summary_of(run) for run in desk.newest()[:limit]]
            return RunList(runs=heard, before=None, problem=str(error))
        runs = [RunView.model_validate(merged(run, desk.find(run["request_id"]))) for run in page["runs"]]
        return RunList(runs=runs, before=page["before"], problem="")

    @routes.get("/{request_id}", summary="One run")
    async def get_run(detector: DetectorName, request_id: RequestId) -> RunDetails:
        """Return all that is known of a run, with the ranges of its lost and incomplete images."""
        return await details_of(desks.of(detector), request_id)

    @routes.get("/{request_id}/thumbnail", summary="Picture of a run", response_class=Response, responses=_PNG)
    async def get_thumbnail(
        detector: DetectorName,
        request_id: RequestId,
        size: Annotated[int, Query(ge=16, le=MAX_SIZE, description="Rows and columns, at most.")] = DEFAULT_SIZE,
    ) -> Response:
        """Return one image, from the middle of a run that has ended, small: each pixel the largest of its bin."""
        desk = desks.of(detector)
        run = await details_of(desk, request_id)
        order = PictureOrder(
            run=run.request_id,
            file=_file_of(desk, run),
            roots=desk.roots,
            row=run.n_written // 2,
            size=size,
            encoding="png",
        )
        try:
            picture = await pictures.of(order)
        except PictureError as error:
            raise HttpProblem(404, "No thumbnail", str(error)) from None
        return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})

    return routes


def _file_of(desk: RunDesk, run: RunDetails) -> str:
    if run.state != "ended":
        raise HttpProblem(404, "No thumbnail", "the run has not ended; its file is open")
    is_image = isinstance(desk.detector.config, DetectorConfig) and run.format in {None, "hdf5"}
    if not is_image or not run.files or not run.n_written:
        raise HttpProblem(404, "No thumbnail", "the run has no image in an HDF5 file")
    return run.files[0]
