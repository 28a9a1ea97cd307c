"""Names of the files of the CDISC output."""

CDISC_FILES = ("pp.csv", "pp.xpt", "adpp.csv", "adpp.xpt", "codelist.csv", "cdisc_metadata.csv")
"""SDTM PP and ADaM ADPP, the codes in them that are ours, and a description of every variable."""
