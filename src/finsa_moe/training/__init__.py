"""The stages that make a mixture: pre-training, experts, merge, joint training. Needs torch."""
