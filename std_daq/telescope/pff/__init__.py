"""PFF, the files in which a telescope's acquisition stores its frames: read, write, follow.

::

    from std_daq.telescope.pff import PffFile

    with PffFile("start_2024-07-25T04_34_46Z.dp_img16.bpp_2.module_1.seqno_0.pff") as file:
        print(len(file), file[0].header, file.pixels.mean())
"""

from std_daq.telescope.pff.product import PRODUCTS, Product
from std_daq.telescope.pff.reader import PffFile, PffFrame
from std_daq.telescope.pff.writer import PffWriter

__all__ = ["PRODUCTS", "PffFile", "PffFrame", "PffWriter", "Product"]
