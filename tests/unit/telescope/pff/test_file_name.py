"""What names of PFF files tell."""

from pathlib import PurePath

import pytest

from std_daq.telescope.pff.file_name import format_name, parse_name
from std_daq.telescope.pff.product import PRODUCTS, Product

RUN = "obs_Lick.start_2024-07-25T04:34:06Z.runtype_sci-data.pffd"


@pytest.mark.parametrize(
    ("path", "product", "module_id", "seqno", "start"),
    [
        ("start_2024-07-25T04_34_46Z.dp_img16.bpp_2.module_1.seqno_12.pff", "img16", 1, 12, "2024-07-25T04_34_46Z"),
        (f"data/module_254/{RUN}/start_x.dp_ph256.pff", "ph256", 254, 0, "x"),
        (f"module_3/{RUN}/sim.dp_img8.module_7.seqno_1.pff", "img8", 7, 1, "2024-07-25T04:34:06Z"),
        (f"module_3/{RUN}/hk.pff", None, 3, 0, "2024-07-25T04:34:06Z"),
        ("sim.dp_ph512.seqno_1.pff", None, None, 1, None),
        ("my_module_2x/dp_img8.pff", None, None, 0, None),
    ],
)
def test_name_tells_what_is_in_it(
    path: str, product: str | None, module_id: int | None, seqno: int, start: str | None
) -> None:
    name = parse_name(PurePath(path))
    assert (name.product and name.product.name, name.module_id, name.seqno, name.start) == (
        product, module_id, seqno, start,
    )  # fmt: skip


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_name_that_is_made_is_understood(product: Product) -> None:
    name = parse_name(format_name(product, 254, 17, "2024-07-25T04:34:06Z"))
    assert (name.product, name.module_id, name.seqno) == (product, 254, 17)
    assert name.start == "2024-07-25T04:34:06Z"
