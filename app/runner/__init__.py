"""The runner: the program that the service uploads to an instance and starts there, detached from any connection.

Standard library only; runs on Python 3.9. It imports `app.protocol` and nothing else of the project.
"""
