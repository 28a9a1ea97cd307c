"""What a population fit looks like against its data: predictive checks, prediction errors, residuals, effects."""
