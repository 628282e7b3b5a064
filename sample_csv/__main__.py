"""`python -m sample_csv people 1000 -o FILE`: the same command as `./sluice sample`."""

from sample_csv.cli import app

app(prog_name="python -m sample_csv")
