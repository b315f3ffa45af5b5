"""Side by side with the peers: the same page, the same Redis, the same machine, one run."""
