"""Where plans come from: plan files, folders of Markdown tasks, Python, graphs."""
