"""Texts in, which are the same or nearly so out. It reads no file."""
