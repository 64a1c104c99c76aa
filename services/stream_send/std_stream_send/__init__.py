"""Sends the images of the ImageBuffer to receivers on other servers."""
