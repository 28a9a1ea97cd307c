"""Noncompartmental analysis on arrays, numpy only."""
