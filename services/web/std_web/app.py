"""The application: its routes, its guard, and the life of its parts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

from std_web import detector_routes
from std_web.detectors import Console
from std_web.filed_images.pictures import FiledPictures
from std_web.guard import Guard, WebAccess
from std_web.limits import Bounds, RequestLimits
from std_web.live import routes as image_routes
from std_web.live.image_hub import ImageHub
from std_web.metrics import WebMetrics
from std_web.older import routes as older_routes
from std_web.panels import routes as panel_routes
from std_web.problems import RESPONSES, HttpProblem, add_handlers
from std_web.refusals import ErrorAnswers
from std_web.runs import routes as run_routes
from std_web.runs.desks import RunDesks
from std_web.state import routes as state_routes

API = "/api/v1"
PAGE = Path(__file__).parent / "page"
_BY_VALIDATION = ("HTTPValidationError", "ValidationError")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """With what an application is made.

    Parameters
    ----------
    console
        The detectors.
    access
        Who may do what.
    websockets
        Bounds of the WebSockets.
    metrics
        Metrics of the service.
    """

    console: Console
    access: WebAccess
    websockets: Bounds
    metrics: WebMetrics


def make_app(settings: WebSettings) -> FastAPI:
    """Return the ASGI application of a console."""
    console = settings.console
    api = APIRouter(prefix=API, responses=RESPONSES)
    pollers = state_routes.poll(console)
    desks = RunDesks(console)
    filed = FiledPictures()
    api.include_router(detector_routes.router(console))
    api.include_router(state_routes.router(console, pollers))
    images = ImageHub(console)
    console.keep(images)
    api.include_router(image_routes.router(images))
    api.include_router(run_routes.router(desks, filed))
    api.include_router(panel_routes.router(console))
    api.add_api_route("/{path:path}", _unknown, include_in_schema=False, methods=["GET", "POST", "PUT", "DELETE"])

    app = FastAPI(
        title="std-daq",
        version=version("std-daq"),
        description="Detectors, their state, their images and their runs.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan(console),
    )
    app.include_router(api)
    app.include_router(older_routes.router(console, pollers, desks, filed))
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    add_handlers(app)
    app.openapi = _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(ErrorAnswers)
    app.add_middleware(RequestLimits, websockets=settings.websockets, metrics=settings.metrics)
    app.add_middleware(Guard, access=settings.access, metrics=settings.metrics)
    return app


async def _unknown(path: str) -> None:
    raise HttpProblem(404, detail=f"there is nothing at '{path[:100]}'; {API}/openapi.json lists what there is")


def _lifespan(console: Console) -> Any:
    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - the signature of every lifespan
        async with AsyncExitStack() as stack:
            for detector in console.detectors.values():
                stack.callback(detector.release)
            for part in console.parts:
                await stack.enter_async_context(part)
            yield

    return live


def _openapi(app: FastAPI) -> Any:
    """Return what describes the API: wrong input is answered with problem documents, as all other errors."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = describe()
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
            for name in _BY_VALIDATION:
                schema.get("components", {}).get("schemas", {}).pop(name, None)
            app.openapi_schema = schema
        return app.openapi_schema

    return described
