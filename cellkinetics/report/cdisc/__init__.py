"""CDISC output: noncompartmental results as SDTM PP and ADaM ADPP, in CSV and in XPT version 5."""
