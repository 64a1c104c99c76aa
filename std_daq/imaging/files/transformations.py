"""Groups, quantities and transformations as NeXus stores them."""

import h5py
import numpy as np
import numpy.typing as npt

from std_daq.imaging.files.texts import write_text_attribute

Vector = tuple[float, float, float]


def create_group(parent: h5py.Group, path: str, nx_class: str) -> h5py.Group:
    """Create a group of a NeXus class."""
    group = parent.create_group(path)
    write_text_attribute(group, "NX_class", nx_class)
    return group


def write_quantity(group: h5py.Group, name: str, value: npt.ArrayLike, unit: str | None) -> h5py.Dataset:
    """Store a number, or an array of numbers, with its unit."""
    dataset = group.create_dataset(name, data=value)
    if unit is not None:
        write_text_attribute(dataset, "units", unit)
    return dataset


def write_transformation(
    file: h5py.File, path: str, value: float, *, vector: Vector, depends_on: str, offset: Vector = (0.0, 0.0, 0.0)
) -> None:
    """Store a translation, in metres."""
    axis = write_quantity(file, path, value, "m")
    describe_transformation(axis, "translation", vector=vector, depends_on=depends_on, offset=offset)


def describe_transformation(
    axis: h5py.Dataset, kind: str, *, vector: Vector, depends_on: str, offset: Vector = (0.0, 0.0, 0.0)
) -> None:
    """Store the attributes that make a dataset a transformation; the offset is in metres."""
    write_text_attribute(axis, "transformation_type", kind)
    write_text_attribute(axis, "depends_on", depends_on)
    write_text_attribute(axis, "offset_units", "m")
    axis.attrs["vector"] = np.array(vector, "<f8")
    axis.attrs["offset"] = np.array(offset, "<f8")
