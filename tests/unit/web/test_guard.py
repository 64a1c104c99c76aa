"""Which requests the console answers, and what it tells browsers."""

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from std_test_kit.web_console import TOKEN, RunningConsole, running_console
from std_web.guard import WebAccess
from std_web.options import WebOptions
from std_web.token import AccessToken

DETECTORS = "/api/v1/detectors"


def test_every_answer_has_the_security_headers(console: RunningConsole) -> None:
    for path in ("/", DETECTORS, "/api/v1/nothing", "/nothing"):
        headers = console.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
    assert console.get(DETECTORS).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:5000", 200),
        ("127.0.0.1", 200),
        ("[::1]:5000", 200),
        ("10.1.2.3", 200),
        ("daq.example.org", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("", 421),
        ("[", 421),
        ("LOCALHOST.:5000", 200),
        ("[fe80::1%25eth0]:5000", 200),
        ("evil.example@localhost", 421),
        ("localhost#evil.example", 421),
        ("localhost/evil.example", 421),
        ("localhost?evil.example", 421),
        ("2130706433", 421),
        ("localhost:5000:evil", 421),
    ],
)
def test_page_that_gave_its_own_name_this_address_gets_no_answer(host: str, status: int, detector_file: Path) -> None:
    access = WebAccess(AccessToken(TOKEN), hosts=frozenset({"daq.example.org"}))
    with running_console(detector_file, access=access) as console:
        answer = console.get(DETECTORS, headers={"Host": host})
        assert answer.status == status
        if status == 421:
            assert answer.json()["title"] == "Unknown host"
            assert answer.headers["content-type"] == "application/problem+json"
            assert console.count("daq_web_refused_total", reason="Unknown host") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_page_of_another_site_changes_nothing_even_with_the_token(
    headers: dict[str, str], console: RunningConsole
) -> None:
    answer = console.ask("POST", "/api/v1/detectors/small/runs", {}, token=TOKEN, headers=headers)
    assert answer.status == 403
    assert answer.json()["title"] == "Foreign origin"


def test_own_page_and_programs_pass(console: RunningConsole) -> None:
    own = {"Origin": console.url, "Sec-Fetch-Site": "same-origin"}
    for headers in (own, {}):
        assert console.ask("POST", "/api/v1/nothing", {}, headers=headers).status == 404


@pytest.mark.long
def test_reading_can_be_closed(detector_file: Path) -> None:
    access = WebAccess(AccessToken(TOKEN), reading_needs_token=True)
    with running_console(detector_file, access=access) as console:
        refused = console.get(DETECTORS)
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert console.get(DETECTORS, token=TOKEN).status == 200
        assert console.get(DETECTORS, token=TOKEN + "x").status == 401
        assert console.get("/").status == 200  # the page itself asks for the token


def test_token_is_taken_where_programs_and_pages_can_give_it() -> None:
    access = WebAccess(AccessToken("sixteen-letters!"))
    basic = "Basic c3RkLWRhcTpzaXh0ZWVuLWxldHRlcnMh"  # as requests makes it from a URL or from ~/.netrc
    assert access.may_change(Headers({"Authorization": "Bearer sixteen-letters!"}), [])
    assert access.may_change(Headers({"Authorization": basic}), [])
    assert access.may_change(Headers({}), ["std-daq", "bearer.c2l4dGVlbi1sZXR0ZXJzIQ"])
    for wrong in ("sixteen-letters!", "c2l4dGVlbi1sZXR0ZXJz", "c2l4dGVlbi1sZXR0ZXJzI", "", "=", "w6Q", "ä"):
        assert not access.may_change(Headers({}), ["std-daq", f"bearer.{wrong}"])
    for wrong in ("Bearer", "Bearer sixteen-letters", "Basic x", "Basic ////", "Digest sixteen-letters!", "ä ö"):
        assert not access.may_change(Headers(raw=[(b"authorization", wrong.encode("latin-1"))]), ["std-daq"])
    assert WebAccess(None).may_change(Headers({}), [])


def test_bounds_of_the_options_hold(detector_file: Path) -> None:
    options = WebOptions(max_connections=8, max_connections_of_client=4)
    with running_console(detector_file, options=options) as console:
        assert [console.get(DETECTORS).status for _ in range(20)] == [200] * 20  # each gives its connection back
