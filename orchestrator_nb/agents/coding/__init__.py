"""Coding agents that people already have (claude, codex, gemini, ...): how each is called, and what its output says."""
