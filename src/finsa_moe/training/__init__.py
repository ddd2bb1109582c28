"""The stages that make a mixture: pre-training, experts, merge, joint training. Needs torch."""

import finsa_moe.model  # noqa: F401 - first: it quiets a library that the imports below would let speak
