"""A dashboard of Grafana for the metrics of std-daq, made from the catalogue of metrics."""
