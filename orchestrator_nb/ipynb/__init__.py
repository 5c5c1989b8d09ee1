"""What a notebook's file says: its cells, its parameters, its imports, what it recorded. No kernel is needed for it."""
