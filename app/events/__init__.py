"""Events that features raise, for webhooks and hook modules."""
