"""Accounts: users sign in, sign up, and manage what is theirs; administrators manage users."""
