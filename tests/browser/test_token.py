"""The token in a real browser: asked for once, usable with all its characters, and told if it is wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from std_test_kit.web_process import WebProcess

OpenPage = Callable[..., Page]
# Base64 of two bytes too few, and characters that no name of a subprotocol may have (RFC 6455, 4.1).
TOKEN = 'aGVsbG8gd29ybGQ/+==(a)[b]{c}@d,e;f:"g"\\h?i'
# More than two polls of the state.
POLLS_MS = 5000


@pytest.fixture
def closed_web(tmp_path: Path, detector_document: dict[str, Any]) -> Iterator[WebProcess]:
    """A console that shows nothing without its token."""
    file = tmp_path / "closed.json"
    file.write_text(json.dumps({**detector_document, "services": {"web": {"reading_needs_token": True}}}))
    with WebProcess(tmp_path, file, token=TOKEN) as running:
        yield running


def fill_token(page: Page, token: str) -> None:
    page.locator("dialog input[name=token]").fill(token)
    page.get_by_role("button", name="Continue").click()


@pytest.fixture
def asked(closed_web: WebProcess, open_page: OpenPage) -> Page:
    """The page, which has asked for the token; nobody has answered."""
    page = open_page(f"{closed_web.url}/?view=image", is_shown=False)
    expect(page.locator("dialog")).to_contain_text("shows nothing without its token")
    return page


@pytest.mark.long
def test_the_token_is_asked_for_once_and_then_with_a_button(asked: Page) -> None:
    asked.get_by_role("button", name="Cancel").click()
    expect(asked.locator("#lock")).to_be_visible()
    asked.wait_for_timeout(POLLS_MS)
    assert not asked.locator("dialog").count()
    assert not asked.locator(".note").count()
    asked.locator("#unlock").click()
    fill_token(asked, TOKEN)
    expect(asked.locator("#lock")).to_be_hidden()
    expect(asked.locator("#pill")).to_contain_text("not fine")
    # Only the WebSocket tells this.
    expect(asked.locator(".message")).to_contain_text("there is no ring of images yet")


@pytest.mark.long
def test_a_page_that_has_lost_its_token_asks_once(asked: Page) -> None:
    fill_token(asked, TOKEN)
    expect(asked.locator("#pill")).to_contain_text("not fine")
    asked.get_by_role("button", name="Forget the token").click()
    expect(asked.locator("dialog")).to_contain_text("shows nothing without its token")
    asked.keyboard.press("Escape")
    expect(asked.locator("#lock")).to_be_visible()
    asked.wait_for_timeout(POLLS_MS)
    assert not asked.locator("dialog").count()
    expect(asked.locator(".view-image")).to_be_visible()


def test_a_wrong_token_is_told_and_the_right_one_still_taken(asked: Page) -> None:
    fill_token(asked, "this-is-not-the-token-of-it")
    expect(asked.locator(".note")).to_contain_text("did not accept the token")
    expect(asked.locator("#lock")).to_be_visible()
    asked.locator("#unlock").click()
    fill_token(asked, TOKEN)
    expect(asked.locator("#lock")).to_be_hidden()
    expect(asked.locator(".message")).to_contain_text("there is no ring of images yet")


@pytest.mark.long
@pytest.mark.parametrize("has_shown", [False, True])
def test_a_page_notices_that_the_console_was_started_again_without_a_lock(
    asked: Page, closed_web: WebProcess, tmp_path: Path, detector_document: dict[str, Any], has_shown: bool
) -> None:
    if has_shown:
        fill_token(asked, TOKEN)
        expect(asked.locator("#pill")).to_contain_text("not fine")
        asked.get_by_role("button", name="Forget the token").click()
        expect(asked.locator("dialog")).to_contain_text("shows nothing without its token")
    asked.keyboard.press("Escape")
    expect(asked.locator("#lock")).to_be_visible()
    closed_web.end()
    (tmp_path / "closed.json").write_text(json.dumps(detector_document))
    closed_web.start()
    expect(asked.locator("#lock")).to_be_hidden()
    expect(asked.locator("#pill")).to_contain_text("not fine")
    expect(asked.locator(".message")).to_contain_text("there is no ring of images yet")
    assert not asked.locator("dialog").count()


@pytest.mark.long
def test_a_preview_without_the_token_does_not_close_the_page(
    tmp_path: Path, detector_document: dict[str, Any], open_page: OpenPage
) -> None:
    file = tmp_path / "rootless.json"
    writer = {**detector_document["writer"], "output_roots": []}
    file.write_text(json.dumps({**detector_document, "writer": writer}))
    with WebProcess(tmp_path, file, token=TOKEN) as web:
        page = open_page(f"{web.url}/?view=runs")
        with page.expect_response("**/runs/preview") as answer:
            page.locator("input[name=output_file]").fill("/data/a.h5")
        assert answer.value.status == 401
        expect(page.locator(".preview")).to_have_text("The file is shown here once this page has the token.")
        assert page.locator("dialog").count() == 0, "nobody has asked for anything"
        assert page.locator("#lock").is_hidden()
        with page.expect_response("**/status"):
            pass
