"""The store in one SQLite file: embedded, durable, shared by the worker processes of one machine."""
