"""Stage 1 on news, as the paper calls it; see --help."""

import sys

from finsa_moe import paper

if __name__ == "__main__":
    sys.exit(paper.train_expert("news"))
