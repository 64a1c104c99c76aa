"""From an event to physical observables: point cloud, clusters, estimates."""
