"""The network and nothing else: backbone, expert bank, router, losses, mixture. Needs torch."""
