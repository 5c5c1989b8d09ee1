"""What touches the operating system: supervised processes, what the machine can do."""
