"""What one sees of a live image in a browser."""

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect


def screenshot(place: Locator) -> NDArray[np.uint8]:
    """Return what is to be seen of an element, (height, width, 3)."""
    return np.asarray(Image.open(BytesIO(place.screenshot())).convert("RGB"))


def wait_live(page: Page) -> None:
    """Wait until images come."""
    expect(page.locator(".word")).to_contain_text(re.compile(r"live · [\d.]+ images/s"))


def wait_newer(page: Page) -> None:
    """Wait until another image is shown than the one that is shown when this is called."""
    number = page.locator(".facts dd").first
    expect(number).not_to_have_text(number.inner_text())


def shown_sequence(page: Page) -> int:
    """Return the sequence number of the image at which the page is frozen."""
    page.wait_for_url(lambda url: sequence_in(url) is not None)
    sequence = sequence_in(page.url)
    assert sequence is not None
    return sequence


def sequence_in(url: str) -> int | None:
    """Return the sequence number of the image that an address names; None if it names none."""
    found = re.search(r"[?&]image=(\d+)", url)
    return None if found is None else int(found[1])


def pixel_places(page: Page, region: tuple[int, int, int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield x, y of each pixel of a region, and the place in the window of its upper left part, beside its value."""
    box = page.locator(".picture").bounding_box()
    assert box
    x0, y0, x1, y1 = region
    scale = min(box["width"] / (x1 - x0), box["height"] / (y1 - y0))
    for y in range(y0, y1):
        for x in range(x0, x1):
            left = box["width"] / 2 + (x + 0.12 - (x0 + x1) / 2) * scale
            top = box["height"] / 2 + (y + 0.12 - (y0 + y1) / 2) * scale
            yield x, y, int(left), int(top)


def detector_status(page: Page) -> Any:
    """Return the status of the first detector, as the page's console tells it."""
    return page.evaluate(
        "fetch('api/v1/detectors').then((r) => r.json())"
        ".then(([one]) => fetch(`api/v1/detectors/${one.name}/status`)).then((r) => r.json())"
    )
