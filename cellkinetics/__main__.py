"""`python -m cellkinetics` is the command `cellkinetics`."""

from cellkinetics.cli import main

main()
