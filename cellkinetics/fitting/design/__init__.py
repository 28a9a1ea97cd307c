"""Before the trial: what a schedule of samples will tell about a model and its population."""
