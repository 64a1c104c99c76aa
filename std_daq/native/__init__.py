"""Compiled code: where it is kept, for which processors it is made, and what all kernels share."""
