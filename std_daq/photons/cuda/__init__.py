"""The engine on an NVIDIA GPU."""
