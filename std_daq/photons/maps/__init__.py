"""Hit-probability maps: how likely light from each voxel of a detector hits each channel."""
