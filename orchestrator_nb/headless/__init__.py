"""Notebooks without a front end: batches of them, through the same engine as every plan."""
