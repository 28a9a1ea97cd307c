"""Noncompartmental analysis of more than fits into memory at once: many files, or one large table, piece by piece."""

PIECE_ROWS = 500_000
"""Rows that a process analyses at a time, by default: some seconds of work, and less than 1 GiB of memory."""
