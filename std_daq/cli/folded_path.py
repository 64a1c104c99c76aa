"""Paths in lines of a limited width: broken after a slash, and nowhere else while the names fit."""


def folded_path(path: str, width: int) -> list[str]:
    """Return a path in lines of at most ``width`` characters; only a name that is longer than a line is broken.

    For example ``/data/visitor/p1/run.h5`` in lines of 12 is ``/data/``, ``visitor/p1/``, ``run.h5``.
    """
    lines, line = [], ""
    for name in path.replace("/", "/\0").split("\0"):
        if len(line) + len(name) > width and line:
            lines.append(line)
            line = ""
        while len(line) + len(name) > width:
            lines.append(name[:width])
            name = name[width:]
        line += name
    return [*lines, line]
