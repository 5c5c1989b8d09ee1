"""Functions that the pipelines of this repository use as tasks."""
