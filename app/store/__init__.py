"""Redis: commands, scripts, caches, keys, rate limits, the embedded Valkey."""
