"""Drawings in Rerun: in a file, in a viewer over the network, in a browser; needs the extra ``view3d``."""
