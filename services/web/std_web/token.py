"""AccessToken: the secret that a request needs to change something."""

import base64
import binascii
import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from std_daq.errors import ConfigError

_MIN_CHARS = 16
_MAX_BYTES = 4096
_ENTROPY_BYTES = 32
_OWNER_ONLY = 0o600
_OTHERS = 0o007
# Container engines make secrets readable for all users, in a directory that only the container can see.
_ENGINE_SECRETS = Path("/run/secrets")


class AccessToken:
    """A token, of which only a digest is kept.

    Parameters
    ----------
    text
        The token.
    """

    def __init__(self, text: str) -> None:
        self._digest = _digest(text)

    @classmethod
    def from_file(cls, file: Path) -> "AccessToken":
        """Read the token in a file; white space around it does not count.

        Raises
        ------
        ConfigError
            The file cannot be read, every user may read it, or its token is too short.
        """
        try:
            with file.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                content = opened.read(_MAX_BYTES + 1)
            text = content.decode("ascii").strip()
        except OSError as error:
            raise ConfigError(f"the token cannot be read: {error.strerror}", file=file) from None
        except UnicodeDecodeError:
            raise ConfigError("the token has letters, digits and signs of ASCII only", file=file) from None
        if mode & _OTHERS and not file.is_relative_to(_ENGINE_SECRETS):
            raise ConfigError("every user may read this token", file=file, remedy=f"run: chmod o= {file}")
        if not _MIN_CHARS <= len(text) <= _MAX_BYTES or any(char.isspace() for char in text):
            raise ConfigError(
                f"a token is one word of {_MIN_CHARS} to {_MAX_BYTES} characters",
                file=file,
                remedy=f"make one: (umask 077; openssl rand -hex 32 > {file})",
            )
        return cls(text)

    def is_given(self, authorization: str) -> bool:
        """Return whether a header ``Authorization`` has the token, as ``Bearer`` or as the password of ``Basic``."""
        scheme, _, value = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                return self.is_same(value.strip())
            case "basic":
                return self.is_same(_password(value.strip()))
        return False

    def is_same(self, text: str) -> bool:
        """Return whether a text is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(_digest(text), self._digest)


def make_token_file(file: Path) -> None:
    """Write a new token to a file that only its owner may read; keep the file if there is one.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _OWNER_ONLY)
    except FileExistsError:
        return
    except OSError as error:
        raise ConfigError(f"the token cannot be written: {error.strerror}", file=file) from None
    with os.fdopen(descriptor, "w") as output:
        output.write(f"{secrets.token_urlsafe(_ENTROPY_BYTES)}\n")


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogateescape")).digest()


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("latin-1").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
