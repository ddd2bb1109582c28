"""Raw files in, audited splits out: read, told apart, split, counted, written whole."""
