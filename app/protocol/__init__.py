"""What the service and the runner both speak. Standard library only; runs on Python 3.9."""
