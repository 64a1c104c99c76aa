"""sim_router: gives the requests of photon simulation clients to workers, and the replies back."""
