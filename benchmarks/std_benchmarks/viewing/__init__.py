"""What the benchmark of the live view starts: a server, a bare one as reference, a sender, clients."""
