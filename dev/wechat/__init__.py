"""A WeChat for development: sign-in, the API with its tokens, pushed messages, the open platform."""
