"""Runs in a real browser: started, followed and killed by clicking, against RabbitMQ and a writer agent."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from std_daq.amqp.broker_lookup import VARIABLE
from std_daq.client.scrape import scrape
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.service.record import endpoint_socket
from std_test_kit.agent import AgentProcess, make_config, publish
from std_test_kit.beamline import Beamline
from std_test_kit.store_driver import RingPublisher
from std_test_kit.store_writer import FakeStoreWriter, StoreWriterThread
from std_test_kit.wait import wait_until
from std_test_kit.web_process import TOKEN, WebProcess

OpenPage = Callable[..., Page]
ACCESSIBILITY = (Path(__file__).parent / "accessibility.js").read_text()


@dataclass(frozen=True, slots=True)
class Recorder:
    """A console over a writer agent, with a writer and a ring of this process."""

    web: WebProcess
    agent: AgentProcess
    agent_socket: Path
    ring: RingPublisher
    folder: Path


@contextmanager
def ring_at(config: Any) -> Iterator[RingPublisher]:
    ring = RingPublisher(image_buffer_path(config), shape=(4, 8), n_slots=64)
    yield ring
    ring.close()


@pytest.fixture
def recorder(
    broker_url: str, tag: str, shm_dir: Path, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recorder]:
    monkeypatch.setenv(VARIABLE, broker_url)
    config = make_config(
        shm_dir,
        tag,
        output_roots=[str(tmp_path)],
        max_queued_requests=2,
        first_image_timeout_s=60.0,
        users=["nobody", 12345],
    )
    with (
        ring_at(config) as ring,
        AgentProcess(config, broker_url, tmp_path) as agent,
        StoreWriterThread(config, FakeStoreWriter()),
        WebProcess(tmp_path, tmp_path / "detector.json") as web,
    ):
        agent_socket = endpoint_socket(config, "writer-agent")
        wait_until(lambda: scrape(agent_socket).is_ready, 30.0)
        yield Recorder(web, agent, agent_socket, ring, tmp_path)


def open_runs(open_page: OpenPage, web: WebProcess, **options: Any) -> Page:
    page = open_page(f"{web.url}/?view=runs", **options)
    page.wait_for_selector(".run-form")
    expect(page.locator(".desk")).to_be_hidden()
    return page


def start_run(page: Page, file: str, n_images: int | None) -> None:
    page.get_by_label("File", exact=False).first.fill(file)
    if n_images is not None:
        page.locator("input[name=n_images]").fill(str(n_images))
    page.get_by_role("button", name="Start the run").click()


def give_token(page: Page) -> None:
    page.locator("dialog input[name=token]").fill(TOKEN)
    page.get_by_role("button", name="Continue").click()


def test_run_is_started_followed_and_killed_by_clicking(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web)
    name = f"{recorder.folder}/run_{{number:03}}.h5"
    page.locator("input[name=output_file]").fill(name)
    expect(page.locator("#run-preview")).to_have_text(f"→ {recorder.folder}/run_001.h5")
    start_run(page, name, 500)
    give_token(page)
    line = page.locator(".run-line")
    expect(line.locator("b")).to_have_text(f"{recorder.folder}/run_001.h5")
    publish(recorder.ring, [*range(100, 120), *range(123, 150)], pause_s=0.06)
    expect(line.locator(".numbers")).to_contain_text(re.compile(r"[1-9][0-9]* of 500 written"))
    expect(line.locator(".left")).to_contain_text(re.compile("left, until"))
    assert float(line.locator("progress").get_attribute("value") or 0) > 0
    line.get_by_role("button", name="Kill").click()
    page.get_by_role("button", name="Kill the run").click()
    details = page.locator(".run-details")
    expect(details.locator(".badge")).to_have_text("killed")
    expect(details).to_contain_text("lost: 120-122")
    expect(details.locator("canvas")).to_be_visible()
    expect(page.locator(".run-line")).to_have_count(0)
    row = page.locator(".run-history tbody tr").first
    expect(row).to_contain_text("run_001.h5")
    expect(row).to_contain_text("killed")


@pytest.mark.long
def test_refused_path_is_told_while_it_is_typed_and_when_it_is_sent(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web)
    page.locator("input[name=output_file]").fill("/etc/run.h5")
    expect(page.locator("#run-preview")).to_contain_text("outside the allowed folders")
    start_run(page, "/etc/run.h5", 5)
    give_token(page)
    complaint = page.locator(".run-form .complaint")
    expect(complaint).to_contain_text("Request refused")
    expect(complaint).to_contain_text("outside the allowed folders")
    expect(page.locator(".run-line")).to_have_count(0)


@pytest.mark.long
def test_the_owner_of_the_files_is_one_of_those_that_the_configuration_allows(
    recorder: Recorder, open_page: OpenPage
) -> None:
    page = open_runs(open_page, recorder.web)
    page.get_by_text("Further options").click()
    owner = page.get_by_label("Owner of the files")
    expect(owner.locator("option")).to_have_text(["as configured", "nobody", "12345"])
    for user, chosen in (("nobody", "nobody"), (12345, "12345"), (None, "as configured")):
        owner.select_option(label=chosen)
        with page.expect_request(lambda asked: asked.method == "POST" and asked.url.endswith("/runs")) as sent:
            start_run(page, f"{recorder.folder}/of_{chosen}.h5", 1)
            if user == "nobody":
                give_token(page)
        assert sent.value.post_data_json.get("user") == user
        expect(page.locator(".run-line")).to_contain_text(f"of_{chosen}")
        expect(page.locator(".run-line")).to_contain_text("waiting")
        publish(recorder.ring, range(1))
        expect(page.locator(".run-details")).to_contain_text(f"of_{chosen}.h5")


@pytest.mark.long
def test_history_is_searched_and_a_run_opened_with_the_keyboard(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web)
    for name in ("alpha", "beta"):
        start_run(page, f"{recorder.folder}/{name}.h5", 3)
        if name == "alpha":
            give_token(page)
        expect(page.locator(".run-line")).to_contain_text(name)
        expect(page.locator(".run-line")).to_contain_text("waiting")
        publish(recorder.ring, range(3))
        expect(page.locator(".run-details")).to_contain_text(f"{name}.h5")
        expect(page.locator(".run-details .badge")).to_have_text("complete")
    page.locator("body").press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("alpha complete")
    page.wait_for_url("**search=alpha**")
    row = page.locator(".run-history tbody tr")
    # One row alone would also be that of an empty history, or of the first run before the second is listed.
    expect(row).to_have_text([re.compile("alpha.h5")])
    page.keyboard.press("Tab")
    expect(row).to_be_focused()
    # The list is asked for anew, as after each run that ends.
    with page.expect_response("**/runs?**"):
        page.locator("input[type=search]").dispatch_event("input")
    page.wait_for_timeout(300)
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".run-details h2")).to_have_text(f"{recorder.folder}/alpha.h5")
    assert "search=alpha" in page.url
    assert "run=" in page.url


@pytest.mark.long
def test_a_run_that_ends_does_not_take_the_focus(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web)
    start_run(page, f"{recorder.folder}/alone.h5", 3)
    give_token(page)
    expect(page.locator(".run-line")).to_contain_text("waiting")
    page.locator("input[name=output_file]").fill(f"{recorder.folder}/next")
    publish(recorder.ring, range(3))
    expect(page.locator(".run-details .badge")).to_have_text("complete")
    page.keyboard.type(".h5")
    expect(page.locator("input[name=output_file]")).to_have_value(f"{recorder.folder}/next.h5")


@pytest.mark.long
def test_a_file_may_have_the_name_of_a_choice(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web)
    sent: list[Any] = []
    page.on("request", lambda request: request.url.endswith("/runs") and sent.append(request.post_data_json))
    start_run(page, "none", 5)
    give_token(page)
    expect(page.locator(".run-form .complaint")).to_contain_text("Request refused")
    assert {key: sent[-1][key] for key in ("output_file", "format", "compression", "conflict")} == {
        "output_file": "none",
        "format": "hdf5",
        "compression": "none",
        "conflict": "refuse",
    }


@pytest.mark.long
def test_page_says_that_the_agent_is_away_and_goes_on_when_it_is_back(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web)
    recorder.agent.kill()
    page.locator("input[name=output_file]").fill(f"{recorder.folder}/late.h5")
    expect(page.locator("#run-preview")).to_contain_text("does not answer")
    recorder.agent.start()
    page.wait_for_timeout(1000)
    for _ in range(30):
        page.locator("input[name=n_images]").fill("4")
        if "→" in (page.locator("#run-preview").text_content() or ""):
            break
        page.wait_for_timeout(1000)
    expect(page.locator("#run-preview")).to_have_text(f"→ {recorder.folder}/late.h5")


@pytest.mark.long
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_is_easy_to_read_and_all_controls_have_names(recorder: Recorder, open_page: OpenPage, theme: str) -> None:
    page = open_runs(open_page, recorder.web, theme=theme)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate(ACCESSIBILITY) == []


@pytest.mark.long
def test_a_phone_need_not_scroll_sideways(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web, width=360, height=740)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.long
@pytest.mark.timeout(300)
def test_run_of_a_whole_beamline_has_its_picture(
    beamline: Beamline, web: WebProcess, tmp_path: Path, open_page: OpenPage
) -> None:
    page = open_runs(open_page, web)
    start_run(page, f"{tmp_path}/real.h5", 20)
    give_token(page)
    expect(page.locator(".run-line")).to_contain_text("real.h5")
    assert beamline.run("simulate", "--n-images", "20", "--rate-hz", "20")[0] == 0
    expect(page.locator(".run-details .badge")).to_have_text("complete")
    expect(page.locator(".run-details .picture")).to_be_visible()
    expect(page.locator(".run-history .thumbnail")).to_be_visible()


@pytest.mark.long
def test_run_that_ends_while_the_console_is_away_is_none_that_goes_on(recorder: Recorder, open_page: OpenPage) -> None:
    page = open_runs(open_page, recorder.web)
    start_run(page, f"{recorder.folder}/alone.h5", 3)
    give_token(page)
    expect(page.locator(".run-line")).to_contain_text("waiting")
    page.evaluate("document.activeElement.blur()")
    recorder.web.end(signal.SIGKILL)
    expect(page.locator("#banner")).to_be_visible()
    publish(recorder.ring, range(3))
    wait_until(
        lambda: scrape(recorder.agent_socket).by_label("daq_requests_total", "verdict").get("complete") == 1, 30.0
    )
    recorder.web.start()
    expect(page.locator(".run-line")).to_have_count(0)
