"""live_stream: sends images from the ImageBuffer to viewers."""
