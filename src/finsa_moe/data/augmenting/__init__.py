"""Rows of a training split in, new rows out: in synonyms, or put in other words by a language model."""
