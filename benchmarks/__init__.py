"""Speed and cost against what one would otherwise do; ratios of alternating runs, results kept in `results/`."""
