"""Routes of the images of a detector."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Response, WebSocket
from pydantic import AfterValidator, WithJsonSchema

from std_daq.imaging.display.colour_maps import ColourMap, Scale
from std_daq.imaging.protocols.calibration_notes import calibrations_of
from std_daq.reading.journal_search import Fate
from std_web.detector_routes import DetectorName
from std_web.live.image_hub import ImageDesk, ImageHub
from std_web.live.pictures import array_file, limits_of, nexus_file, picture
from std_web.live.protocol import MAX_SIZE, View, encode_image
from std_web.live.renderer import Rendered
from std_web.live.viewer import Viewer
from std_web.problems import HttpProblem

_CORNERS = r"^-?[0-9]{1,9},-?[0-9]{1,9},-?[0-9]{1,9},-?[0-9]{1,9}$"
_SIDE = "([1-9][0-9]{0,2}|[1-3][0-9]{3}|40[0-8][0-9]|409[0-6])"  # 1 to MAX_SIZE
_SIZE = f"^{_SIDE},{_SIDE}$"
_ENTITY_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_ATTEMPTS = 5

Result = TypeVar("Result")


def _like(pattern: str, words: str) -> Callable[[str], str]:
    """Return a check whose message says in words, not by the pattern, what is wanted."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"{text!r} is not {words}")
        return text

    return check


def _described(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Sequence = Annotated[
    int | None, Query(ge=0, lt=2**63, description="Sequence number of the image; by default the newest one.")
]
ImageId = Annotated[
    int | None,
    Query(
        ge=0,
        lt=2**64,
        description="Id of the image, since the last restart of the detector. Together with a sequence number: 404 if "
        "that is another image.",
    ),
]
Region = Annotated[
    Annotated[str, AfterValidator(_like(_CORNERS, "x0,y0,x1,y1 in pixels")), _described(_CORNERS)] | None,
    Query(description="Corners x0,y0,x1,y1 in pixels, the ends excluded; by default all."),
]
Size = Annotated[
    Annotated[str, AfterValidator(_like(_SIZE, f"width,height, each from 1 to {MAX_SIZE}")), _described(_SIZE)] | None,
    Query(description=f"Largest width,height of the answer, 1 to {MAX_SIZE}; by default the size of the region."),
]
Reduce = Annotated[Literal["max", "mean"], Query(description="What a bin becomes of its pixels.")]
Limit = Annotated[
    float | None, Query(allow_inf_nan=False, description="Value of the first or last colour; by default by percentile.")
]


def _seen(
    if_none_match: Annotated[
        list[str] | None,
        Header(description="ETags of answers: 304 if the image is that of one of them. *: 304 if there is an image."),
    ] = None,
) -> frozenset[str]:
    """Return the tags of the images that the client has; the header may come in several lines."""
    return _tags(",".join(if_none_match or ()))


SeenImages = Annotated[frozenset[str], Depends(_seen)]


def _array(content_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"content": {content_type: {}}, "description": description},
        304: {"description": "There is no newer image than the one of the ETag that was sent."},
    }


@dataclass(frozen=True, slots=True)
class WantedImage:
    """Which image is asked for, and what of it; the newest one if neither of the numbers is given."""

    view: View
    sequence: int | None = None
    image_id: int | None = None

    def found(self, desk: ImageDesk) -> View:
        """Return the view of the image that is meant; raises HttpProblem if it is not there."""
        sequence = self.sequence
        if self.image_id is not None:
            place = desk.source.find(self.image_id)
            if place.fate is not Fate.PUBLISHED:
                raise _not_in_ring(f"image {self.image_id} (by its id): {place.fate}")
            if sequence not in {None, place.sequence}:
                raise _not_in_ring(f"image {self.image_id} (by its id) has the sequence number {place.sequence}")
            sequence = place.sequence
        if sequence is None:
            return self.view
        _check_is_there(desk, sequence)
        return self.view.model_copy(update={"position": sequence})


def _image(sequence: Sequence = None, image_id: ImageId = None) -> WantedImage:
    return WantedImage(View(), sequence, image_id)


def _part_of_image(
    image: Annotated[WantedImage, Depends(_image)], region: Region = None, size: Size = None, reduce: Reduce = "max"
) -> WantedImage:
    """Return what the parameters of an address mean."""
    corners = None if region is None else [int(number) for number in region.split(",")]
    sides = [MAX_SIZE, MAX_SIZE] if size is None else [int(number) for number in size.split(",")]
    return replace(image, view=View(region=corners, size=sides, reduce=reduce))


WholeImage = Annotated[WantedImage, Depends(_image)]
PartOfImage = Annotated[WantedImage, Depends(_part_of_image)]


def router(hub: ImageHub) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["images"], prefix="/detectors/{detector}")

    @routes.get("/image", summary="Picture of an image", response_class=Response, responses=_array("image/png", "PNG."))
    async def show_image(
        detector: DetectorName,
        wanted: PartOfImage,
        seen: SeenImages,
        low: Limit = None,
        high: Limit = None,
        scale: Annotated[Scale, Query(description="How a value becomes a colour.")] = "linear",
        colours: Annotated[ColourMap, Query(description="The map of colours.")] = "viridis",
    ) -> Response:
        """Return the newest image, or one that is still in the ring, as a PNG."""

        def make(rendered: Rendered) -> bytes:
            return picture(rendered, low=low, high=high, scale=scale, colours=colours)

        def more(rendered: Rendered) -> dict[str, str]:
            first, last = limits_of(rendered, low, high)
            return {"X-Image-Low": f"{first:g}", "X-Image-High": f"{last:g}"}

        return await _shown(hub.of(detector), wanted, seen, make, "image/png", more)

    @routes.get(
        "/image.raw",
        summary="Pixels of an image",
        response_class=Response,
        responses=_array("application/octet-stream", "A message as the WebSocket of live images sends it."),
    )
    async def send_image(detector: DetectorName, wanted: PartOfImage, seen: SeenImages) -> Response:
        """Return the pixels, their flags, and a header with all that is known of the image."""

        def make(rendered: Rendered) -> bytes:
            return encode_image(rendered.header, rendered.image.values, rendered.image.flags)

        return await _shown(hub.of(detector), wanted, seen, make)

    @routes.get(
        "/image.npy",
        summary="Pixels of an image, for numpy",
        response_class=Response,
        responses=_array("application/octet-stream", "A file that numpy.load reads."),
    )
    async def send_array(detector: DetectorName, wanted: PartOfImage, seen: SeenImages) -> Response:
        """Return the pixels as a file of numpy."""
        return await _shown(hub.of(detector), wanted, seen, lambda rendered: array_file(rendered.image.values))

    @routes.get(
        "/image.nxs",
        summary="NeXus file of an image",
        response_class=Response,
        responses=_array("application/x-hdf5", "A NeXus file with one image."),
    )
    async def send_nexus(detector: DetectorName, wanted: WholeImage) -> Response:
        """Return all pixels of an image with what is known of them, as the files of runs have it."""
        name, file = await in_thread(hub.of(detector), lambda desk: _nexus(desk, wanted))
        return Response(
            file, media_type="application/x-hdf5", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    @routes.get(
        "/mask",
        summary="Pixel mask in use",
        response_class=Response,
        responses=_array("application/octet-stream", "A file that numpy.load reads: NXmx bits, unsigned 32 bit."),
    )
    async def send_mask(detector: DetectorName) -> Response:
        """Return the pixel mask that the configuration and its files give, in the bits of NXmx."""
        file = await in_thread(hub.of(detector), lambda desk: array_file(desk.source.meaning().plane.pixel_mask))
        return Response(file, media_type="application/octet-stream")

    @routes.get("/calibration", summary="Calibration in use")
    async def show_calibration(detector: DetectorName) -> dict[str, Any]:
        """Return the files of the calibrations that the images in the ring have, with their checksums."""
        return await in_thread(hub.of(detector), _calibration)

    @routes.websocket("/live")
    async def show_live(socket: WebSocket, detector: str) -> None:
        """Send live images; docs/reference/console.md describes the messages."""
        try:
            desk = hub.of(detector)
        except HttpProblem as problem:
            await socket.close(1008, problem.detail[:120])
            return
        await socket.accept()
        await Viewer(socket, desk.renderer, desk.executor).run()

    return routes


async def in_thread(desk: ImageDesk, make: Callable[[ImageDesk], Result]) -> Result:
    """Return what is made of the images of a detector, in its thread."""
    return await asyncio.get_running_loop().run_in_executor(desk.executor, make, desk)


async def _shown(
    desk: ImageDesk,
    wanted: WantedImage,
    seen: frozenset[str],
    make: Callable[[Rendered], bytes],
    media_type: str = "application/octet-stream",
    more: Callable[[Rendered], Mapping[str, str]] | None = None,
) -> Response:
    """Return the answer with what is made of a view; one without content if the client has seen this image.

    Parameters
    ----------
    desk
        The images.
    wanted
        What of which image.
    seen
        Tags of the images that the client has, as `_tags` returns them.
    make
        Returns the content.
    media_type
        Its type.
    more
        Returns further headers.
    """

    def render(of: ImageDesk) -> Response:
        view = wanted.found(of)
        place = of.source.place(view.position)
        if place is not None and not seen.isdisjoint({"*", _etag(place)}):
            return Response(status_code=304, headers={"ETag": _etag(place), **_state(of)})
        rendered = _rendered(of, view)
        headers = {"ETag": _etag(rendered.place), **_state(of), **_facts(rendered), **(more(rendered) if more else {})}
        return Response(make(rendered), media_type=media_type, headers=headers)

    return await in_thread(desk, render)


def _etag(place: tuple[int, int]) -> str:
    """Return the tag of an image: of its ring, which a restart replaces, and of its number there."""
    return '"{:x}-{:x}"'.format(*place)


def _tags(text: str) -> frozenset[str]:
    """Return the tags of an If-None-Match (RFC 9110, 13.1.2), compared as weak ones; or an asterisk."""
    return frozenset({"*"} if text.strip() == "*" else _ENTITY_TAG.findall(text))


def _state(desk: ImageDesk) -> dict[str, str]:
    return {"X-Image-State": desk.source.state().word}


def _rendered(desk: ImageDesk, view: View) -> Rendered:
    rendered = desk.renderer.render(view)
    if rendered is None:
        raise _no_image(desk)
    return rendered


def _check_is_there(desk: ImageDesk, sequence: int) -> None:
    """Refuse an image of the past that is not in the ring any more, or one that is still to come."""
    place = desk.source.place(sequence)
    if place is not None and place[1] != sequence:
        span = desk.source.span() or {}
        raise _not_in_ring(
            f"image {sequence} (by its sequence number) is not in the ring, which has {span.get('oldest')} to "
            f"{span.get('newest')}"
        )


def _not_in_ring(why: str) -> HttpProblem:
    return HttpProblem(404, "Image not in the ring", why)


def _no_image(desk: ImageDesk) -> HttpProblem:
    state = desk.source.state()
    return HttpProblem(404, "No image", state.message or "the image was overwritten while it was read; ask again")


def _nexus(desk: ImageDesk, wanted: WantedImage) -> tuple[str, bytes]:
    position = wanted.found(desk).position
    meaning = desk.source.meaning()
    for _ in range(_ATTEMPTS):
        place = desk.source.place(position)
        found = None if place is None else desk.source.image(place)
        copied = found if found is None or found.is_copy else found.copy()
        if copied is not None:
            ring = desk.source.ring()
            notes = {} if ring is None else ring.read_notes()
            return f"{desk.source.name}_{copied.id}.nxs", nexus_file(copied, meaning, notes)
    raise _no_image(desk)


def _calibration(desk: ImageDesk) -> dict[str, Any]:
    ring = desk.source.ring()
    notes = {} if ring is None else ring.read_notes()
    place = desk.source.place("newest")
    image = None if place is None else desk.source.image(place)
    return {
        "in_use": None if image is None else image.calibration,
        "calibrations": calibrations_of(notes),
    }


def _facts(rendered: Rendered) -> dict[str, str]:
    header = rendered.header
    return {
        "X-Image-Id": str(header["image_id"]),
        "X-Image-Sequence": str(header["sequence"]),
        "X-Image-Time-Ns": str(header["time_ns"]),
        "X-Image-Status": header["status"],
        "X-Image-Missing-Packets": str(header["missing_packets"]),
        "X-Image-Shape": "{},{}".format(*header["image_shape"]),
        "X-Image-Region": ",".join(map(str, header["region"])),
    } | {f"X-Image-{name}": f"{header[name.lower()]:g}" for name in ("Min", "Max") if header["n_pixels"]}
