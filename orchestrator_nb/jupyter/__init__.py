"""The front end in Jupyter: displays, widgets, magics."""
