"""The token of the console, and its file."""

import stat
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_web.token import AccessToken, make_token_file

WORD = "sixteen-letters!"


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    file = path / "token"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_token_is_read_without_the_white_space_around_it(tmp_path: Path) -> None:
    token = AccessToken.from_file(written(tmp_path, f" {WORD}\n".encode(), 0o640))
    assert token.is_same(WORD)
    assert not token.is_same(WORD + " ")
    assert WORD not in repr(vars(token))


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (WORD.encode(), 0o644, r"every user may read this token; run: chmod o= "),
        (b"short", 0o600, "a token is one word of 16 to 4096 characters; make one"),
        (b"two words of a sentence", 0o600, "a token is one word"),
        (b"x" * 5000, 0o600, "a token is one word"),
        ("sechzehn-Wörter-lang".encode(), 0o600, "letters, digits and signs of ASCII only"),
    ],
)
def test_file_that_holds_no_secret_is_refused(content: bytes, mode: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        AccessToken.from_file(written(tmp_path, content, mode))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no/token: the token cannot be read: No such file"):
        AccessToken.from_file(tmp_path / "no" / "token")


def test_made_file_is_its_owners_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "web-token"
    make_token_file(file)
    content = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    make_token_file(file)
    assert file.read_text() == content
    assert AccessToken.from_file(file).is_same(content.strip())
