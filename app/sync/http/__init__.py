"""The HTTP edge: request bodies, guards, errors, the OpenAPI document, and the routes."""
