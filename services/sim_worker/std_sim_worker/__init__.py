"""sim_worker: simulates the photons of clients, behind a router or by itself."""
