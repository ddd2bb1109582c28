"""Asking a language model behind an endpoint that the user names. Nothing in this room imports torch."""
