"""The maps of colours of live images; page/colours.js of the console has the same."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

ColourMap = Literal["viridis", "cividis", "inferno", "grey", "grey, inverted"]
Scale = Literal["linear", "sqrt", "log"]

# Every 16th colour of each map; those between are interpolated. All but the grey ones are readable for the colour-blind
# and grow brighter evenly (viridis, inferno: Smith and van der Walt, CC0; cividis: Nuñez et al., CC0).
_KNOTS: dict[ColourMap, str] = {
    "viridis": (
        "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c "
        "1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725"
    ),
    "cividis": (
        "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 "
        "8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838"
    ),
    "inferno": (
        "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 "
        "d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4"
    ),
    "grey": "000000 ffffff",
    "grey, inverted": "ffffff 000000",
}
COLOUR_MAPS: tuple[ColourMap, ...] = get_args(ColourMap)
SCALES: tuple[Scale, ...] = get_args(Scale)


def colour_table(name: ColourMap) -> NDArray[np.uint8]:
    """Return the 256 colours of a map, (256, 3)."""
    knots = np.array([list(bytes.fromhex(knot)) for knot in _KNOTS[name].split()], np.float64)
    places = np.linspace(0, len(knots) - 1, 256)
    channels = [np.interp(places, np.arange(len(knots)), knots[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
