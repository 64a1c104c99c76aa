"""Where the live view gets its images from."""
