"""The audit log: who did what to accounts, clients and tokens."""
