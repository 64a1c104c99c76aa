"""h5_writer: writes images from the ImageBuffer to HDF5 files."""
