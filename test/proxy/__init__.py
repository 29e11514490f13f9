"""The service behind reverse proxies: the stand-in's, and nginx and Caddy with the files of docs/deploy.md."""
