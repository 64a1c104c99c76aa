"""Routes of the panel of a telescope."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, WebSocket
from pydantic import BaseModel, Field

from std_daq.errors import StdDaqError
from std_daq.telescope.config import LiveViewConfig, ModuleId
from std_web.detector_routes import DetectorName
from std_web.detectors import Console
from std_web.guard import needs_token
from std_web.panels import pace
from std_web.panels.panel_links import PanelLinks
from std_web.panels.pulse_heights import MAX_WINDOW_S
from std_web.panels.telescope_link import TelescopeLink
from std_web.panels.telescope_view import TelescopeView
from std_web.problems import HttpProblem

_INIT_MARGIN_S = 5.0


class TelescopeSource(BaseModel):
    """A source of the live view."""

    name: str = Field(description="Name of the source.")
    is_running: bool = Field(description="Whether images can come from it.")
    problem: str = Field(description="What is wrong with it; empty if nothing is.")
    frames: int = Field(description="Images that came from it.")
    refused: int = Field(description="Images that were damaged.")
    silent_s: float = Field(description="For how many seconds it has delivered nothing.")


class TelescopeProduct(BaseModel):
    """A product of a module, or of one of its boards."""

    module: int = Field(description="Number of the module.")
    product: str = Field(description="Name of the product, such as img16.")
    board: int | None = Field(description="Number of the board, where images come from single boards.")
    frames: int = Field(description="Images that came.")
    zero_frames: int = Field(description="Images of which all pixels are 0.")
    rate_hz: float = Field(description="Images per second.")
    age_s: float = Field(description="How old the newest image is, in seconds.")
    newest_maximum: int = Field(description="Largest pixel of the newest image.")


class TelescopeClient(BaseModel):
    """A stream of the live view."""

    peer: str = Field(description="Who gets it.")
    interval_s: float = Field(description="Shortest time between two images of a product of a module, in seconds.")
    modules: list[int] = Field(description="The modules that it asked for; none stands for all.")
    sent: int = Field(description="Images that it was sent.")
    skipped_by_interval: int = Field(description="Images left out because the interval was not over.")
    skipped_by_slow_client: int = Field(description="Images left out because the client was slow.")


class TelescopeState(BaseModel):
    """How a telescope's live view is."""

    answers: bool = Field(description="Whether the live view answers.")
    is_initialised: bool = Field(description="Whether its sources are open (InitHpIo).")
    message: str = Field(description="What it says of itself, or why it does not answer.")
    sources: list[TelescopeSource] = Field(description="Its sources.")
    products: list[TelescopeProduct] = Field(description="What has come, by module, product and board.")
    clients: list[TelescopeClient] = Field(description="Who looks at it; two of the streams are the console's.")


class HeightsOfModule(BaseModel):
    """The pulse heights of one module."""

    module: int = Field(description="Number of the module.")
    counts: list[int] = Field(description="Images in each bin.")
    images: int = Field(description="Images that are counted.")
    skipped: int = Field(description="Images that the live view did not send to the console.")


class HeightsDocument(BaseModel):
    """How often which pulse height came."""

    window_s: float = Field(description="Over the last seconds.")
    edges: list[float] = Field(description="Edges of the bins, in ADC units.")
    modules: list[HeightsOfModule] = Field(description="The modules.")


class InitWish(BaseModel, extra="forbid"):
    """What InitHpIo is told."""

    data_dir: str = Field("", max_length=4096, description="Folder of the run directories; not needed with simulate.")
    simulate: bool = Field(False, description="Start the simulation instead of the sources.")
    update_interval_s: float = Field(0.1, gt=0, le=1e6, description="Shortest time between two images, in seconds.")
    modules: list[ModuleId] = Field(
        default_factory=list, max_length=4096, description="Modules that are wanted; none stands for all."
    )
    force: bool = Field(False, description="End the streams of other clients.")


class InitDone(BaseModel):
    """The sources were exchanged."""

    message: str = Field(description="What the live view says of itself.")


def router(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/detectors/{detector}/panel/telescope", tags=["panel of a telescope"])
    links = PanelLinks(console, LiveViewConfig, "telescope", TelescopeLink)

    @routes.get("", summary="State of a telescope's live view")
    def telescope_state(detector: DetectorName) -> TelescopeState:
        """Return sources, products and clients; until the live view has answered, `answers` is false."""
        link = links.of(detector)
        link.look()
        return _state(link)

    @routes.get("/pulse-heights", summary="Distribution of pulse heights")
    def pulse_heights(
        detector: DetectorName,
        seconds: Annotated[float, Query(gt=0, le=MAX_WINDOW_S, description="Over the last seconds.")] = 60.0,
        module: Annotated[list[ModuleId] | None, Query(description="Modules; none stands for all.")] = None,
    ) -> HeightsDocument:
        """Return how often which largest pixel came in pulse-height images, as long as somebody has looked."""
        link = links.of(detector)
        link.look()
        found = link.heights.distribution(seconds, module or ())
        return HeightsDocument(
            window_s=found.window_s,
            edges=found.edges.tolist(),
            modules=[
                HeightsOfModule(
                    module=module_id,
                    counts=counts.tolist(),
                    images=found.n_images[module_id],
                    skipped=found.n_skipped[module_id],
                )
                for module_id, counts in found.counts.items()
            ],
        )

    @routes.post("/init", summary="Exchange the sources (InitHpIo)", dependencies=[needs_token])
    def initialise(detector: DetectorName, wish: InitWish) -> InitDone:
        """Exchange the sources of the live view; it answers when they deliver, or tells why they cannot."""
        link = links.of(detector)
        wishes = {
            "data_dir": wish.data_dir,
            "simulate_daq": wish.simulate,
            "update_interval_seconds": wish.update_interval_s,
            "module_ids": wish.modules,
            "force": wish.force,
        }
        if not wish.simulate and not wish.data_dir:
            raise HttpProblem(422, "Wrong input", "body.data_dir is needed unless body.simulate is true")
        try:
            problem = link.initialise(wishes, link.config.init_timeout_s + _INIT_MARGIN_S)
        except StdDaqError as error:
            raise HttpProblem(503, "No answer", str(error)) from None
        if problem:
            raise HttpProblem(409, "Refused by the live view", problem)
        return InitDone(message="The sources were exchanged.")

    @routes.websocket("/images")
    async def images(detector: DetectorName, socket: WebSocket) -> None:
        """Send the newest images of all modules, at the client's pace."""
        link = await links.of_socket(detector, socket)
        if link is not None:
            await pace.serve(socket, TelescopeView(link))

    return routes


def _state(link: TelescopeLink) -> TelescopeState:
    status: Any = link.status
    if status is None:
        return TelescopeState(
            answers=False,
            is_initialised=False,
            message=link.why_not() or "the live view has not answered yet",
            sources=[],
            products=[],
            clients=[],
        )
    return TelescopeState(
        answers=True,
        is_initialised=status.hp_io_initialized,
        message=status.message,
        sources=[
            TelescopeSource(
                name=source.name,
                is_running=source.is_running,
                problem=source.problem,
                frames=source.frames,
                refused=source.refused,
                silent_s=source.silent_seconds,
            )
            for source in status.sources
        ],
        products=[
            TelescopeProduct(
                module=row.module_id,
                product=row.product,
                board=row.board if row.HasField("board") else None,
                frames=row.frames,
                zero_frames=row.zero_frames,
                rate_hz=row.rate_hz,
                age_s=row.age_seconds,
                newest_maximum=row.newest_maximum,
            )
            for row in status.products
        ],
        clients=[
            TelescopeClient(
                peer=client.peer,
                interval_s=client.update_interval_seconds,
                modules=list(client.module_ids),
                sent=client.sent,
                skipped_by_interval=client.left_out.by_interval,
                skipped_by_slow_client=client.left_out.by_slow_client,
            )
            for client in status.clients
        ],
    )
