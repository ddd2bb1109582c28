"""``python -m finsa_moe`` is the command `finsa`."""

from finsa_moe.cli import entry

if __name__ == "__main__":
    entry()
