"""Routes of runs."""

from fastapi import APIRouter

from std_web.filed_images.pictures import FiledPictures
from std_web.runs import changing_routes, live_route, reading_routes
from std_web.runs.desks import RunDesks


def router(desks: RunDesks, pictures: FiledPictures) -> APIRouter:
    """Return all routes of runs."""
    routes = APIRouter()
    routes.include_router(live_route.router(desks))
    routes.include_router(reading_routes.router(desks, pictures))
    routes.include_router(changing_routes.router(desks))
    return routes
