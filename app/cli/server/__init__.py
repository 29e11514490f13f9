"""What `serve` needs besides the application: socket, server, lock file, log."""
