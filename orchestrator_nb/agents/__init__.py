"""Who does the work: one agent a kind, found by name (`registry`)."""
