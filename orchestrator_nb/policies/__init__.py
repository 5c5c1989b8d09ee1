"""Policies: frozen values, each of which answers one question about the state. Pure."""
