"""Population models for other programs: data, equations and starting values as text, and their estimates back."""
