"""Files in any usual format and encoding in, rows out, with what could not be read. It compares no texts."""
