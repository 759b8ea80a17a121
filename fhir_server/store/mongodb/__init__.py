"""A store in MongoDB, by a commit log, whose entries any process may apply."""
