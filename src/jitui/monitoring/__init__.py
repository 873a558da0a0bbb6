"""What is measured of the whole service and of its workers, for Prometheus."""
