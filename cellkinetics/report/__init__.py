"""Figures, tables, pages and manifests made from results."""
