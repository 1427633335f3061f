"""`python -m app.cli` is `onelook`."""

from app.cli import main

main()
