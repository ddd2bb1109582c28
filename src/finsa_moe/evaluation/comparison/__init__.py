"""Models × test sets: cells run and kept, scored together, told as tables, pictures, a page."""
