"""A trained mixture answering fast: engines, batching, routing, files. Nothing in this room imports torch."""

BATCH_TOKENS = 1536
"""Most tokens of a batch, padding counted, unless told: up to here more is faster, beyond it the caches are full."""
