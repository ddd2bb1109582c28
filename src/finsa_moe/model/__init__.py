"""The network and nothing else: backbone, expert bank, router, losses, mixture. Needs torch."""

import logging

# On import bitsandbytes warns of an optional kernel it would fetch from a hub; nothing here uses it.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
