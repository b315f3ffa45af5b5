"""An OpenID provider: other services sign people in with Tallygate."""
