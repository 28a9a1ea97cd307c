"""Population fits: likelihood, modes, estimators."""
