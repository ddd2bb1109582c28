"""The mixture behind HTTP: requests gathered into batches, files, metrics, and a page. Nothing here imports torch."""
