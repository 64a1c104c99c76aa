"""Whether the URL of a broker holds a password."""


def has_password(urls: str) -> bool:
    """Return whether one of the URLs, separated by white space, holds a password, however malformed it is."""
    return any(":" in _credentials(url) for url in urls.split())


def _credentials(url: str) -> str:
    """Return what stands before the last '@'; a password may hold one, and any other character."""
    return url.rpartition("@")[0].removeprefix("amqp://").removeprefix("amqps://")
