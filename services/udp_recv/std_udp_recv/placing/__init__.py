"""Where packets belong in the FrameBuffer: the pure half of the receiver, without sockets."""
