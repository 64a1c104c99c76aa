"""Users to whom a request may give its files."""

import pwd
from collections.abc import Sequence
from functools import lru_cache

from std_daq.errors import RequestRefusedError


def allowed_user_id(user: str | int, allowed: Sequence[str | int]) -> int:
    """Return the number of the user whom a request names, if the configuration allows it.

    Parameters
    ----------
    user
        Name or number.
    allowed
        Names and numbers of ``writer.users``.

    Raises
    ------
    RequestRefusedError
        The user is unknown to this machine, is root, or is none of those that are allowed.
    """
    if not allowed:
        raise RequestRefusedError(
            "user: files cannot be given to users here, because writer.users of the configuration names none; "
            "leave it out"
        )
    user_id = user if isinstance(user, int) else _id_of(user)
    if user_id is None:
        raise RequestRefusedError(f"user: the writer's machine knows no user {user!r}; give the number")
    if user_id == 0 or not (user in allowed or any(_as_id(one) == user_id for one in allowed)):
        raise RequestRefusedError(f"user: {user!r} is not in writer.users of the configuration")
    return user_id


def _as_id(user: str | int) -> int | None:
    return user if isinstance(user, int) else _id_of(user)


@lru_cache(maxsize=1024)
def _id_of_known(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _id_of(name: str) -> int | None:
    try:
        return _id_of_known(name)
    except KeyError:
        return None
