"""Many browsers that watch one detector at once."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from std_test_kit.beamline import Beamline
from std_test_kit.seen_images import detector_status, wait_live
from std_test_kit.web_process import WebProcess

pytestmark = [pytest.mark.timeout(300), pytest.mark.long, pytest.mark.alone]
OpenPage = Callable[..., Page]
RATE_HZ = 10
N_BROWSERS = 20


@pytest.fixture
def detector_document(detector_document: dict[str, Any]) -> dict[str, Any]:
    """A detector that may stop for seconds within an image.

    It is simulated on the cores on which the browsers draw, and is late when they have them. That is no loss of the
    receiver.
    """
    patience = {"idle_flush_s": 10.0, "module_timeout_s": 10.0}
    return detector_document | {"udp": detector_document["udp"] | patience}


def test_twenty_browsers_do_not_change_the_loss_of_the_receiver(
    web: WebProcess, beamline: Beamline, open_page: OpenPage
) -> None:
    with beamline.start("simulate", "--n-images", "100000", "--rate-hz", str(RATE_HZ)):
        pages = [open_page(f"{web.url}/?view=image", width=400, height=400) for _ in range(N_BROWSERS)]
        wait_live(pages[-1])
        before = detector_status(pages[0])
        pages[0].wait_for_timeout(8000)
        after = detector_status(pages[0])
        assert after["packets"]["received"] > before["packets"]["received"]
        for name in ("kernel_drops", "lost"):
            assert after["packets"][name] == before["packets"][name], name
        assert after["images"]["lost"] == before["images"]["lost"]
        for page in pages:
            expect(page.locator(".word")).to_contain_text("live")
