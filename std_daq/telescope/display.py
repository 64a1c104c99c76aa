"""Whether windows can be shown here."""

import os
from importlib import import_module

# Backends that matplotlib takes where it has none for windows.
_DRAW_FILES_ONLY = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def has_display() -> bool:
    """Return whether windows can be shown: there is a display, and matplotlib has what draws on it."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    backend = import_module("matplotlib.pyplot").get_backend()
    return backend.lower() not in _DRAW_FILES_ONLY
