"""Stage 1 on forum comments, as the paper calls it; see --help."""

import sys

from finsa_moe import paper

if __name__ == "__main__":
    sys.exit(paper.train_expert("forum"))
