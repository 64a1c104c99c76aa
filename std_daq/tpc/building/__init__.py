"""Event building: brings the frames of all boards together, and makes the rows of an event of them."""
