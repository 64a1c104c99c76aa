"""PendingDrawings: what waits to be shown in a viewer, at most one drawing of each kind."""

from collections.abc import Mapping

from std_daq.view3d.drawing import Drawing


class PendingDrawings:
    """Drawings in the order in which they are shown.

    A newer drawing takes the place of the one of its kind, so that no kind waits for ever while others come often. The
    urgent kind is every second one that is shown: it waits for one other drawing, however many kinds there are.

    Parameters
    ----------
    urgent
        The kind that is shown first; None if all are alike.
    """

    def __init__(self, urgent: str | None = None) -> None:
        self._urgent = urgent
        self._by_kind: dict[str, Drawing] = {}
        self._was_urgent = False

    def __len__(self) -> int:
        return len(self._by_kind)

    def put(self, kind: str, drawing: Drawing) -> bool:
        """Add a drawing; returns whether it replaced one."""
        replaces = kind in self._by_kind
        self._by_kind[kind] = drawing
        return replaces

    def put_missing(self, newest: Mapping[str, Drawing]) -> None:
        """Add those of kinds of which none waits."""
        for kind, drawing in newest.items():
            self._by_kind.setdefault(kind, drawing)

    def take(self) -> tuple[str, Drawing]:
        """Return what is shown next, and its kind; call only if something waits."""
        kind = next((one for one in self._by_kind if one != self._urgent), self._urgent)
        if self._urgent in self._by_kind and not self._was_urgent:
            kind = self._urgent
        if kind is None:
            raise LookupError("no drawing waits")
        self._was_urgent = kind == self._urgent
        return kind, self._by_kind.pop(kind)
