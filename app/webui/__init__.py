"""The pages: templates, styles and small ES modules. They use the HTTP API as curl does, without privileges."""
