"""``report.html`` of a run: what it reached, where it fails, what to do next."""
