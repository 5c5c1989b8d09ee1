"""What is kept on disk: the event log, blobs, the workspace, its locks, the control inbox, the settings file."""
