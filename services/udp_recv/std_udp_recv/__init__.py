"""udp_recv: receives UDP packets into the FrameBuffer."""
