"""The paper's one command for training, test and inference; see --help."""

import sys

from finsa_moe import paper

if __name__ == "__main__":
    sys.exit(paper.run())
