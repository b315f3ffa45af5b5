"""WeChat accounts that services share: access tokens, an API proxy, callbacks."""
