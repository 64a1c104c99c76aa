"""live_stream: images from the ImageBuffer for viewers."""
