"""TelescopeView: the mosaic that one browser looks at."""

from typing import Any

from std_daq.telescope.config import MAX_MODULE_ID
from std_web.panels.arrays_message import encode_arrays
from std_web.panels.telescope_link import TelescopeLink

_MAX_CHOSEN = 4096


class TelescopeView:
    """What has changed since the last message to this browser.

    Parameters
    ----------
    link
        The live view.
    """

    def __init__(self, link: TelescopeLink) -> None:
        self._link = link
        self._version = -1
        self._module_ids: frozenset[int] = frozenset()
        self._products: frozenset[str] = frozenset()

    def wish(self, message: dict[str, Any]) -> None:
        """Take the modules and products that the browser shows; none of them stands for all."""
        modules, products = message.get("modules") or [], message.get("products") or []
        if not _are(modules, int) or not all(0 <= module_id <= MAX_MODULE_ID for module_id in modules):
            raise ValueError(f"modules is a list of numbers from 0 to {MAX_MODULE_ID}")
        if not _are(products, str):
            raise ValueError("products is a list of names")
        self._module_ids, self._products = frozenset(modules), frozenset(products)
        self._version = -1

    def newest(self) -> bytes | None:
        """Return the images that are new to the browser; None if there are none."""
        self._link.look()
        tiles = self._link.tiles.since(self._version, self._module_ids, self._products)
        if not tiles:
            return None
        self._version = max(tile.version for tile in tiles)
        header = {"tiles": [tile.facts for tile in tiles], "missing": self._link.tiles.missing(self._module_ids)}
        return encode_arrays(header, {str(number): tile.pixels for number, tile in enumerate(tiles)})

    def state(self) -> dict[str, Any]:
        """Return whether the live view is heard."""
        self._link.look()
        why = self._link.why_not()
        return {"word": "waiting" if why else "live", "message": why}


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and len(values) <= _MAX_CHOSEN and all(type(value) is kind for value in values)
