"""A trained mixture answering fast: engines, batching, routing, files. Nothing in this room imports torch."""
