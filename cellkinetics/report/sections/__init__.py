"""The sections of the report, each made from the files of a results folder."""
