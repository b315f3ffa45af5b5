"""The configuration service: namespaces of JSON values for other services, and for Tallygate itself."""
