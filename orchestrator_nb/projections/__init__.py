"""Projections: what anyone sees or reads, computed from the state. Pure."""
