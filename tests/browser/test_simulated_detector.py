"""The page, a real browser, and all services of a simulated detector."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from std_test_kit.beamline import Beamline, Command
from std_test_kit.seen_images import detector_status, pixel_places, screenshot, shown_sequence, wait_live, wait_newer
from std_test_kit.wait import wait_until
from std_test_kit.web_process import WebProcess

# The services compile at their first start, which takes longer than most tests.
pytestmark = pytest.mark.timeout(300)
OpenPage = Callable[..., Page]
RATE_HZ = 10
WITHIN_S = 60.0
# A region that the window of the test shows as large pixels, across the border of the modules.
REGION = (500, 506, 516, 518)
LOOK = "colours=grey&low=0&high=4000"


@pytest.fixture
def sending(beamline: Beamline) -> Iterator[Command]:
    """The detector, which sends until the end of the test."""
    with beamline.start("simulate", "--n-images", "100000", "--rate-hz", str(RATE_HZ)) as command:
        yield command


def test_known_pixels_of_a_simulated_detector_have_their_colours(
    web: WebProcess, beamline: Beamline, sending: Command, open_page: OpenPage
) -> None:
    region = ",".join(map(str, REGION))
    page = open_page(f"{web.url}/?view=image&{LOOK}&region={region}")
    wait_live(page)
    page.get_by_role("button", name="Freeze").click()
    sequence = shown_sequence(page)
    page.wait_for_timeout(500)
    with contextlib.closing(beamline.open_images()) as images:
        view = images.view(sequence)
        assert view is not None
        pixels = view.pixels.copy()
        assert view.is_intact()
    seen = screenshot(page.locator(".picture"))
    assert np.ptp(pixels[REGION[1] : REGION[3], REGION[0] : REGION[2]]) > 100, "the pixels must differ"
    for x, y, left, top in pixel_places(page, REGION):
        value = float(pixels[y, x])
        expected = [255, 53, 208] if value >= 60_000 else [round(min(1.0, max(0.0, value / 4000)) * 255)] * 3
        assert np.abs(seen[top, left].astype(int) - expected).max() <= 1, (x, y, value)


@pytest.mark.long
def test_the_image_comes_back_after_a_restart_of_the_console_and_of_each_service(
    web: WebProcess, beamline: Beamline, sending: Command, open_page: OpenPage
) -> None:
    page = open_page(f"{web.url}/?view=image&{LOOK}")
    wait_live(page)
    web.end(signal.SIGKILL)
    expect(page.locator(".word")).to_contain_text("connecting since")
    expect(page.locator(".message")).to_contain_text("connects again by itself")
    expect(page.locator("#banner")).to_be_visible()
    web.start()
    wait_live(page)
    expect(page.locator("#banner")).to_be_hidden()
    for instance in ("assembler", "udp-recv", "h5-writer-0", "writer-agent"):
        # A service that is killed is back too soon for everybody to see that it was away; one that hangs is not.
        pid = beamline.kill(instance, signal.SIGSTOP)
        wait_until(lambda name=instance: not service(page, name)["is_answering"], WITHIN_S)
        expect(page.locator("#pill")).to_contain_text("not fine")
        if instance in {"assembler", "udp-recv"}:
            expect(page.locator(".word")).to_contain_text("stale since")
        beamline.kill(instance)
        beamline.wait_restarted(instance, pid)
        wait_until(lambda name=instance: service(page, name)["is_ready"], WITHIN_S)
        wait_live(page)
        wait_newer(page)
    expect(page.get_by_label("Upper limit of the colours")).to_have_value("4000")


def service(page: Page, instance: str) -> Any:
    found = [one for one in detector_status(page)["services"] if one["instance"] == instance]
    return found[0] if found else {"is_answering": False, "is_ready": False}
