"""The check whether the URL of a broker contains a password."""


def has_password(urls: str) -> bool:
    """Return whether one of several URLs, separated by white space, contains a password, even if it is malformed."""
    return any(":" in _credentials(url) for url in urls.split())


def _credentials(url: str) -> str:
    """Return the text before the last '@': a password may contain '@', and any other character."""
    return url.rpartition("@")[0].removeprefix("amqp://").removeprefix("amqps://")
