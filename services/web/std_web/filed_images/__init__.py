"""Pictures of images in files, read in a process of its own."""
