"""Raw files in, audited splits out. Nothing in this room imports torch."""
