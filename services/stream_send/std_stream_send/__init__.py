"""stream_send: sends the images of the ImageBuffer to receivers on other servers."""
