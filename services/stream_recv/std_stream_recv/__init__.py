"""stream_recv: receives the images of another server into the ImageBuffer."""
