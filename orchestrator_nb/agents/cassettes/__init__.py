"""Attempts of agents kept as text that people can review, and given back without the agent (`agent`)."""
