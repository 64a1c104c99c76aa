"""Writer agent: carries out write requests with the h5_writers."""
