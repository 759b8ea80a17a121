"""A small story, made up, to try the server with: a commune station asks a hub hospital for a consultation."""
