"""Rows worth labelling, chosen and labelled: sampling, the labelling desk, agreement. Nothing here imports torch."""
