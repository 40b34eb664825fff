"""Training package of mner-stream: makes the bundles that the worker runs."""
