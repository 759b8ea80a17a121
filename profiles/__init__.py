"""Facts without behaviour: the compiled R4 tables, telehealth profiles and code systems, with their generator."""
