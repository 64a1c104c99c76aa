"""PffName: what the name of a PFF file tells. Pure."""

import re
from dataclasses import dataclass
from pathlib import PurePath

from std_daq.telescope.pff.product import PRODUCTS, Product

_PRODUCT = re.compile(r"\.dp_([A-Za-z0-9]+)\.")
_SEQNO = re.compile(r"\.seqno_(\d{1,9})\.")
_MODULE = re.compile(r"(?:^|[./])module_(\d{1,9})(?=[./])")
_START = re.compile(r"^start_([^.]+)\.")
_RUN_START = re.compile(r"\.start_([^.]+)\.")


@dataclass(frozen=True, slots=True)
class PffName:
    """What the name of a PFF file tells; None and 0 stand for what it does not tell.

    Parameters
    ----------
    product
        The product.
    module_id
        Number of the module, from the name of the file or else from that of the folder.
    seqno
        Number of the file among those of its run and product.
    start
        Time at which the recording began, as in the name.
    """

    product: Product | None
    module_id: int | None
    seqno: int
    start: str | None


def parse_name(path: PurePath | str) -> PffName:
    """Return what the name of a file, and of the folders around it, tells."""
    path = PurePath(path)
    product = _PRODUCT.search(path.name)
    seqno = _SEQNO.search(path.name)
    start = _START.search(path.name) or _RUN_START.search(path.parent.name)
    in_name = _MODULE.search(path.name)
    modules = (
        [in_name[1]] if in_name else [found[1] for part in path.parts[:-1] if (found := _MODULE.search(f"{part}/"))]
    )
    return PffName(
        product=PRODUCTS.get(product[1]) if product else None,
        module_id=int(modules[-1]) if modules else None,
        seqno=int(seqno[1]) if seqno else 0,
        start=start[1] if start else None,
    )


def format_name(product: Product, module_id: int, seqno: int, start: str) -> str:
    """Return the name of a file as the acquisition gives it."""
    bytes_per_pixel = product.dtype.itemsize
    return f"start_{start}.dp_{product.name}.bpp_{bytes_per_pixel}.module_{module_id}.seqno_{seqno}.pff"
