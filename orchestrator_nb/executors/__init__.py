"""Where attempts are carried out."""
