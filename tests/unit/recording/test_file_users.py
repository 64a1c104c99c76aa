"""Whom a request may name as the owner of its files."""

import pytest

from std_daq.errors import RequestRefusedError
from std_daq.recording.file_users import allowed_user_id
from std_daq.recording.requests import parse_write_request


@pytest.mark.parametrize(("user", "allowed"), [(1, ["daemon"]), ("daemon", [1]), ("daemon", ["daemon"]), (77, [5, 77])])
def test_user_is_allowed_by_name_or_number(user: str | int, allowed: list[str | int]) -> None:
    assert allowed_user_id(user, allowed) == (77 if user == 77 else 1)


@pytest.mark.parametrize(
    ("user", "allowed", "why"),
    [
        (5, [], "writer.users of the configuration names none"),
        (5, ["daemon", 6], "5 is not in writer.users"),
        ("nobody-at-all", ["nobody-at-all"], "knows no user 'nobody-at-all'"),
        ("root", ["root"], "'root' is not in writer.users"),
    ],
)
def test_others_are_refused_with_the_reason(user: str | int, allowed: list[str | int], why: str) -> None:
    with pytest.raises(RequestRefusedError, match=why):
        allowed_user_id(user, allowed)


@pytest.mark.parametrize("user", [0, -1, 2**32, "", "a/b", "a b", "x" * 65, True, 1.5, ["daemon"]])
def test_what_is_no_user_is_no_request(user: object) -> None:
    with pytest.raises(RequestRefusedError, match="user"):
        parse_write_request({"output_file": "/a.h5", "user": user})
