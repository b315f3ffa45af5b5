"""The OpenID provider: users sign in to other services with Tallygate."""
