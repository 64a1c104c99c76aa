"""The images of a detector, live, of the past that is in the ring, and as files."""
