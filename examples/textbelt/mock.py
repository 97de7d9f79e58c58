"""Textbelt in a few lines: a text is queued, then sent, then delivered, one step per look."""
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

KEY = "textbelt-key-1"
STATUSES = ["SENDING", "SENT", "DELIVERED"]
texts = []


class Textbelt(BaseHTTPRequestHandler):
    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, error):
        self.answer({"success": False, "error": error})

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form.get("key") != [KEY]:
            return self.refuse("Invalid API key")
        if form["phone"][0].endswith("000"):
            return self.refuse("Invalid phone number")
        texts.append(0)
        self.answer({"success": True, "textId": str(len(texts)), "quotaRemaining": 40})

    def do_GET(self):
        number = int(self.path.rsplit("/", 1)[-1]) - 1
        texts[number] = min(texts[number] + 1, 2)
        self.answer({"status": STATUSES[texts[number]]})


server = HTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 4010), Textbelt)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
