"""Texts in image files, as programs in C read them.

A text has a fixed length, because readers in SWMR mode cannot read text of variable length. A text of ASCII characters
is stored as ASCII, because HDF5 converts no UTF-8 text for a program that asks for ``H5T_C_S1``. Its type has room for
a null byte at the end, because such programs often read with the size that the type has.
"""

from collections.abc import Sequence

import h5py
import numpy as np


def text_type(n_bytes: int, *, is_ascii: bool) -> h5py.Datatype:
    """Return the type of a text of at most `n_bytes` bytes, with room for the null byte at its end."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(n_bytes + 1)
    kind.set_cset(h5py.h5t.CSET_ASCII if is_ascii else h5py.h5t.CSET_UTF8)
    return h5py.Datatype(kind)


def encode_text(text: str, max_bytes: int) -> bytes:
    """Return a text as UTF-8, cut to at most `max_bytes` at the end of a character."""
    return text.replace("\0", "").encode()[:max_bytes].decode(errors="ignore").encode()


def encode_ascii(text: str, max_bytes: int) -> bytes:
    r"""Return a text as ASCII, cut to at most `max_bytes`; other characters become ``\xe9`` or ``\u20ac``."""
    return text.replace("\0", "").encode("ascii", "backslashreplace")[:max_bytes]


def decode_text(value: bytes | str) -> str:
    """Return text that was read from a file as a string."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def write_text(parent: h5py.Group, path: str, text: str) -> None:
    """Store a text."""
    data = text.replace("\0", "").encode()
    parent.create_dataset(path, data=np.bytes_(data), dtype=text_type(len(data), is_ascii=data.isascii()))


def reserve_text(parent: h5py.Group, path: str, text: str, max_bytes: int) -> None:
    """Store an ASCII text that another one, of at most `max_bytes`, will replace."""
    data = encode_ascii(text, max_bytes)
    parent.create_dataset(path, data=np.bytes_(data), dtype=text_type(max_bytes, is_ascii=True))


def write_texts(parent: h5py.Group, path: str, texts: Sequence[bytes]) -> None:
    """Store a list of texts, given as UTF-8 or as names of files."""
    n_bytes = max((len(text) for text in texts), default=0)
    kind = text_type(n_bytes, is_ascii=all(text.isascii() for text in texts))
    parent.create_dataset(path, data=np.array(texts, kind.dtype), dtype=kind)


def write_text_attribute(item: h5py.HLObject, name: str, text: str) -> None:
    """Store a text attribute."""
    data = encode_text(text, 1 << 15)
    item.attrs.create(name, np.bytes_(data), dtype=text_type(len(data), is_ascii=data.isascii()))
