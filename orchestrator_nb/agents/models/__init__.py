"""Model calls as agents of tasks, through pydantic-ai: imported in `_calling` alone, in a process of its own."""
