"""E-mail: a queue in Redis, sent by SMTP."""
