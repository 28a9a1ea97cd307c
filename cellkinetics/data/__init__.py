"""A table of samples becomes a cohort: reading, dialects, checks, padded arrays."""
