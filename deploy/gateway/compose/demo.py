"""A small application behind the gateway: shows who it was told."""

from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHOWN = ("Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Tallygate-Identity")


class Demo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told = "".join(f"<dt>{name}<dd>{escape(self.headers.get(name, ''))}" for name in SHOWN)
        page = f'<!doctype html><title>Demo</title><dl>{told}</dl><a href="/.tallygate/sign-out">Sign out</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Demo).serve_forever()
