"""Search plans as aggregation pipelines of MongoDB; pure: nothing here speaks to a database."""
