"""The page in a real browser, before any image comes: its frame, its state, and that everybody can use it."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, WebSocket, expect

from std_test_kit.wait import wait_until
from std_test_kit.web_process import TOKEN, WebProcess

ACCESSIBILITY = (Path(__file__).parent / "accessibility.js").read_text()
PAGE = Path(__file__).parents[2] / "services" / "web" / "std_web" / "page"
OpenPage = Callable[..., Page]
VIEWS = ("state", "image")
WITHIN_S = 30.0


def wait_for_view(page: Page) -> None:
    page.wait_for_selector("#view h1", state="attached")
    page.wait_for_selector("#views a[aria-current]")


@pytest.mark.long
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("view", VIEWS)
def test_text_is_easy_to_read_and_all_controls_have_names(
    idle_web: WebProcess, open_page: OpenPage, theme: str, view: str
) -> None:
    page = open_page(f"{idle_web.url}/?view={view}", theme=theme)
    wait_for_view(page)
    page.wait_for_selector(".pill[data-level=bad]")
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate(ACCESSIBILITY) == []


@pytest.mark.long
@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_need_not_scroll_sideways(idle_web: WebProcess, open_page: OpenPage, view: str) -> None:
    page = open_page(f"{idle_web.url}/?view={view}", width=360, height=740)
    wait_for_view(page)
    page.wait_for_selector(".pill[data-level=bad]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = page.evaluate(
        "[...document.querySelectorAll('button, select, input, h1, h2, p')]"
        ".filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1"
        " && !one.closest('.table')).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert cut == []


@pytest.mark.long
def test_detector_view_and_theme_are_chosen_with_the_keyboard_alone(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(idle_web.url)
    wait_for_view(page)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the content")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**detector=second**")
    wait_for_view(page)
    current = page.locator("#views a[aria-current]")
    current.focus()
    expect(current).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**view=image**")
    page.keyboard.press("1")
    page.wait_for_url("**view=state**")
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("These keys")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


@pytest.mark.long
def test_every_control_can_be_reached_with_the_tab_key_and_shows_it(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(f"{idle_web.url}/?view=image")
    wait_for_view(page)
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href], button:not(:disabled), select, input, [tabindex=\"0\"]')]"
        ".filter((control) => control.checkVisibility()).length"
    )
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    body = page.evaluate("[...document.querySelectorAll('*')].indexOf(document.body)")
    assert len(reached - {body}) == wanted


@pytest.mark.long
def test_back_and_forward_and_a_copied_address_show_the_same(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(f"{idle_web.url}/?detector=second&view=state&seconds=60")
    wait_for_view(page)
    expect(page.get_by_label("Span of the plots")).to_have_value("60")
    page.get_by_role("link", name="Image", exact=True).click()
    page.wait_for_selector(".view-image canvas")
    page.go_back()
    page.wait_for_selector(".view-state")
    expect(page.get_by_label("Span of the plots")).to_have_value("60")
    expect(page.locator("#detector")).to_have_value("second")
    page.go_forward()
    page.wait_for_selector(".view-image")


def test_the_state_says_what_is_wrong_since_when_and_what_to_do(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(f"{idle_web.url}/?view=state")
    finding = page.locator(".finding").first
    expect(finding).to_contain_text("no service of first runs on this machine")
    expect(finding).to_contain_text(re.compile(r"since \d\d:\d\d:\d\d"))
    expect(finding).to_contain_text("Do: start them: std-daq up --config FILE")
    expect(page.locator(".headline")).to_contain_text("Not fine")


@pytest.mark.long
def test_the_page_says_that_the_console_is_away_and_connects_again(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(f"{idle_web.url}/?view=state")
    wait_for_view(page)
    expect(page.locator("#banner")).to_be_hidden()
    idle_web.end(signal.SIGKILL)
    expect(page.locator("#banner")).to_contain_text("The console has not answered since")
    expect(page.locator("#banner")).to_contain_text("connects again by itself")
    expect(page.locator("#pill")).to_contain_text("not reachable")
    idle_web.start()
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#notes")).to_contain_text("The console answers again.")
    expect(page.locator("#pill")).to_contain_text("not fine")


@pytest.mark.long
def test_a_console_that_hangs_is_noticed(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(f"{idle_web.url}/?view=state")
    wait_for_view(page)
    os.kill(idle_web.pid, signal.SIGSTOP)
    try:
        expect(page.locator("#banner")).to_be_visible()
    finally:
        os.kill(idle_web.pid, signal.SIGCONT)
    expect(page.locator("#banner")).to_be_hidden()


@pytest.mark.long
def test_a_page_that_is_opened_before_the_console_shows_it_later(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(idle_web.url)
    wait_for_view(page)
    page.route("**/api/v1/detectors", lambda route: route.abort())
    page.reload()
    expect(page.locator("#banner")).to_be_visible()
    page.unroute("**/api/v1/detectors")
    wait_for_view(page)
    expect(page.locator("#banner")).to_be_hidden()


def test_the_token_is_kept_for_the_tab_and_forgotten_at_will(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(idle_web.url)
    wait_for_view(page)
    page.get_by_role("button", name="Enter the token").click()
    page.get_by_role("textbox", name="Token").fill(TOKEN)
    page.keyboard.press("Enter")
    forget = page.get_by_role("button", name="Forget the token")
    expect(forget).to_be_visible()
    assert TOKEN not in page.content()
    assert TOKEN not in page.url
    page.reload()
    forget.click()
    expect(page.get_by_role("button", name="Enter the token")).to_be_visible()
    assert page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])") == '[{},{},""]'


def test_no_file_of_the_page_names_another_host_or_breaks_its_own_policy() -> None:
    for file in PAGE.rglob("*"):
        if not file.is_file():
            continue
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"\b(https?|wss?)://", text), file
        assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|eval|document\.write)\b", text), file
    index = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", index)


# Colours one pixel with two upper limits, one after the other.
COLOUR_TWICE = """async (scale) => {
    const {paint} = await import("./colours.js");
    const frame = {values: Uint16Array.of(2500), flags: Uint8Array.of(0)};
    return [3000, 60000].map((high) => {
        const target = new Uint32Array(1);
        paint(frame, {colours: "grey", scale, low: 2000, high}, target);
        return target[0] & 255;
    });
}"""


@pytest.mark.long
@pytest.mark.parametrize("scale", ["linear", "sqrt", "log"])
def test_another_limit_gives_other_colours_on_every_scale(
    idle_web: WebProcess, open_page: OpenPage, scale: str
) -> None:
    page = open_page(idle_web.url)
    wait_for_view(page)
    bright, dark = page.evaluate(COLOUR_TWICE, scale)
    assert bright > dark


@pytest.mark.long
def test_a_view_that_is_left_before_it_is_shown_leaves_no_socket_behind(
    idle_web: WebProcess, open_page: OpenPage
) -> None:
    page = open_page(f"{idle_web.url}/?view=state")
    wait_for_view(page)
    opened: list[WebSocket] = []
    page.on("websocket", lambda socket: opened.append(socket))
    # The view of the image waits for its style, which comes after another view was chosen.
    waiting: list[Route] = []
    page.route("**/image.css", lambda route: waiting.append(route))
    page.keyboard.press("2")
    page.wait_for_selector(".view-image", state="attached")
    wait_until(lambda: page.wait_for_timeout(50) is None and bool(waiting), WITHIN_S)
    page.keyboard.press("1")
    page.wait_for_selector(".view-state h1")
    waiting[0].continue_()
    page.wait_for_timeout(1000)
    assert [socket.url for socket in opened if not socket.is_closed()] == []


@pytest.mark.long
def test_styles_of_a_view_change_no_other_view(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(f"{idle_web.url}/?view=image")
    for key in "3132":
        page.keyboard.press(key)
        page.wait_for_selector(f"#views a[aria-current][title$='({key})']")
        if key == "3":
            page.wait_for_selector(".view-runs .picture", state="attached")
            assert page.locator(".view-runs .picture").evaluate("one => getComputedStyle(one).position") == "static"
    page.wait_for_selector(".view-image .picture")
    frame, picture = (page.locator(f".view-image {one}").bounding_box() for one in (".frame", ".picture"))
    assert frame
    assert picture
    assert abs(frame["width"] - picture["width"]) <= 2, "the picture has the width of its frame, within its border"


@pytest.mark.long
def test_keys_that_are_pressed_before_there_is_a_view_are_answered_by_it(
    idle_web: WebProcess, open_page: OpenPage
) -> None:
    page = open_page(f"{idle_web.url}/?view=state")
    waiting: list[Route] = []
    page.route("**/api/v1/detectors", lambda route: waiting.append(route))
    page.route("**/runs.css", lambda route: waiting.append(route))
    page.reload()
    for key in "3n":
        wait_until(lambda: page.wait_for_timeout(50) is None and bool(waiting), WITHIN_S)
        expect(page.locator("#view")).to_have_attribute("aria-busy", "true")
        page.keyboard.press(key)
        waiting.pop().continue_()
    expect(page.locator("input[name=output_file]")).to_be_focused()


@pytest.mark.long
def test_the_focus_stays_in_the_list_of_detectors(idle_web: WebProcess, open_page: OpenPage) -> None:
    page = open_page(f"{idle_web.url}/?view=state")
    page.locator("#detector").focus()
    for key, name in (("ArrowDown", "second"), ("ArrowUp", "first")):
        page.keyboard.press(key)
        page.wait_for_url(f"**detector={name}**")
        page.wait_for_selector("#view:not([aria-busy]) h1")
        expect(page).to_have_title(re.compile(name))
        expect(page.locator("#detector")).to_be_focused()


# Fills a table, gives a row the focus, fills it again; returns the text of the row with the focus, and of the row that
# Enter opens.
FOCUS_AFTER_FILL = """async ([before, at, after]) => {
    const {table} = await import("./elements.js");
    const opened = [];
    const words = ({id, n}) => `${id} ${n}`;
    const list = table([{title: "n", cell: words}], {onrow: (row) => opened.push(words(row)), key: ({id}) => id});
    document.body.append(list.element);
    const rows = (text) => text.split(" ").filter(Boolean).map((one) => ({id: one[0], n: one[1]}));
    list.fill(rows(before));
    list.element.querySelectorAll("tbody tr")[at].focus();
    list.fill(rows(after));
    const focused = document.activeElement;
    focused.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}));
    list.element.remove();
    return [focused.textContent, opened];
}"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("before", "at", "after", "expected"),
    [
        ("a1 b1 c1", 1, "a1 b1 c1", "b 1"),
        ("a1 b1 c1", 1, "a2 b2 c2", "b 2"),
        ("a1 b1 c1", 1, "d1 a1 b1 c1", "b 1"),
        ("a1 b1 c1", 2, "c1 a1", "c 1"),
        ("a1 b1 c1", 1, "a1 c1", "c 1"),
        ("a1 b1 c1", 2, "a1 b1", "b 1"),
    ],
    ids=["same", "changed", "more", "moved", "gone", "last gone"],
)
def test_a_row_keeps_the_focus_when_the_table_is_filled_again(
    idle_web: WebProcess, open_page: OpenPage, before: str, at: int, after: str, expected: str
) -> None:
    page = open_page(idle_web.url)
    assert page.evaluate(FOCUS_AFTER_FILL, [before, at, after]) == [expected, [expected]]


def test_each_rule_of_a_view_names_the_view() -> None:
    for view in ("state", "image", "runs", "panel"):
        text = re.sub(r"/\*.*?\*/|@media[^{]*\{", "", (PAGE / f"{view}.css").read_text(), flags=re.DOTALL)
        selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{", text) for one in rule.split(",")]
        assert selectors
        assert [one for one in selectors if not one.startswith((f".view-{view}", ":root"))] == []
