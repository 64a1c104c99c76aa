"""A service that a site adds: it tells how bright the images of a detector are."""
