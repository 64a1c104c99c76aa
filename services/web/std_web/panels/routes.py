"""Routes of all panels."""

from fastapi import APIRouter

from std_web.detectors import Console
from std_web.panels import chamber_routes, farm_routes, telescope_routes


def router(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    for panel in (telescope_routes, chamber_routes, farm_routes):
        routes.include_router(panel.router(console))
    return routes
