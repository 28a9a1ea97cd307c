"""Kinetic models in JAX: the only place where a kinetic formula is written."""
