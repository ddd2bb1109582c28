"""A trained mixture into the folder that the torch-free runtime answers from, behind a gate that proves it the same."""
