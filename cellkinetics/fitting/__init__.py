"""Fits of kinetic models, per patient and pooled."""
