"""Where tasks that write files do their work, apart from the user's files, and how finished work comes together."""
