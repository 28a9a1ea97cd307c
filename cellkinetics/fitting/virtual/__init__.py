"""Virtual trials: patients of a population, their samples, and how they leave the trial."""
