"""Merged files: the events of a chamber in HDF5, in the layouts that the field's analysis reads."""
