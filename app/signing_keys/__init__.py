"""The service's own key pairs: whatever it signs for other services is signed with them."""
