"""How a program calls itself at the broker."""

import pytest

from std_daq.client.caller import caller_name


@pytest.mark.parametrize(("user", "shown"), [("alice", "alice"), ("\udcff", "?"), ("\u4e2d" * 300, "\u4e2d" * 60)])
def test_a_user_of_any_name_fits_into_a_name_of_amqp(monkeypatch: pytest.MonkeyPatch, user: str, shown: str) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: user)
    name = caller_name("std-daq-client")
    assert name.startswith(f"std-daq-client {shown}")
    assert len(name.encode()) <= 200
