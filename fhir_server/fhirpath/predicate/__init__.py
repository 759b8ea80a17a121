"""Invariants as fast tests of raw JSON: `condition.Conditions` compiles them, the engine's `predicate` is the door."""
