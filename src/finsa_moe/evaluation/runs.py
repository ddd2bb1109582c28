"""The ways to run a mixture, as specs, results and tables name them: these words and nothing else."""

MIXTURE = "finsa"
"""What the spec of a mixture begins with."""
ROUTED, ORACLE = "routed", "oracle"
"""Each text by the expert that the router chose, or by that of its true domain; else it is one expert's name."""
PER = "per"
"""The option by which a baseline is trained for each domain alone, and each text answered by its own domain's model."""
