"""The database: data types, tables, transactions, and the sandbox's own clock and randomness."""
