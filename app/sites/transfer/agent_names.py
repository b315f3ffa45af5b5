"""Browsers and systems as other counters call them, by the names that hits have here: one row each, not two. Pure."""

from collections.abc import Mapping

BROWSERS: Mapping[str, str] = {
    # Umami has the names of npm detect-browser.
    "android": "Android",
    "chrome": "Chrome",
    "chromium-webview": "Chrome WebView",
    "crios": "Chrome",
    "edge": "Edge",
    "edge-chromium": "Edge",
    "edge-ios": "Edge",
    "facebook": "Facebook",
    "firefox": "Firefox",
    "fxios": "Firefox",
    "ie": "IE",
    "instagram": "Instagram",
    "ios": "Safari",
    "ios-webview": "Safari UI/WKWebView",
    "miui": "MiuiBrowser",
    "opera": "Opera",
    "safari": "Safari",
    "samsung": "Samsung Internet",
    "yandexbrowser": "Yandex Browser",
    # Plausible, GoatCounter
    "chrome webview": "Chrome WebView",
    "internet explorer": "IE",
    "microsoft edge": "Edge",
    "mobile safari": "Safari",
    "samsung browser": "Samsung Internet",
}
SYSTEMS: Mapping[str, str] = {
    "android os": "Android",
    "gnu/linux": "Linux",
    "mac": "Mac OS X",
    "mac os": "Mac OS X",
    "macos": "Mac OS X",
}


def our_name(kind: str, name: str) -> str:
    """The name of a browser (`b`) or a system (`s`); other names stay, with those of systems freed of versions."""
    if kind == "b":
        return BROWSERS.get(name.strip().lower(), name)
    if kind == "s":
        plain = without_version(name)
        return SYSTEMS.get(plain.lower(), plain)
    return name


def without_version(text: str) -> str:
    """`Chrome 86` is Chrome, `Windows 7` Windows."""
    return " ".join(word for word in text.split() if not word[0].isdigit())
