"""``python -m finsa_moe`` is ``finsa``, for places where scripts are not on the path."""

from finsa_moe.cli import entry

if __name__ == "__main__":
    entry()
