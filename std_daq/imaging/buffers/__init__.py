"""The rings of frames and images, and their readers."""
