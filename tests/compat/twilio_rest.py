"""Twilio's own library against Bellwire's REST: makes, shows, lists, redirects and ends calls, and
serves a document whose request its validator accepts.

Arguments: the API's address, account SID, auth token, a number to call. Prints one JSON object;
fails with a traceback.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.voice_response import Gather, VoiceResponse

BASE, SID, TOKEN, NUMBER = sys.argv[1:5]
FROM = "+15550100"


class Bellwire(TwilioHttpClient):
    """The library's own client, pointed at another host."""

    def request(self, method, url, *args, **kwargs):
        url = url.replace("https://api.twilio.com", BASE)
        return super().request(method, url, *args, **kwargs)


asked = []


class Documents(BaseHTTPRequestHandler):
    """Hands out a document, and keeps what it was asked with."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        fields = dict(parse_qsl(body, keep_blank_values=True))
        url = f"http://127.0.0.1:{self.server.server_port}{self.path}"
        valid = RequestValidator(TOKEN).validate(url, fields, self.headers["X-Twilio-Signature"])
        asked.append((self.path, fields, valid))
        response = VoiceResponse()
        gather = Gather(num_digits=1, timeout=60, action="/chosen")
        gather.pause(length=1)
        response.append(gather)
        text = str(response).encode()
        self.send_response(200)
        self.send_header("content-type", "text/xml")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def wait_for(call, status):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        shown = call.fetch()
        if shown.status == status:
            return shown
        time.sleep(0.05)
    raise AssertionError(f"{call.sid} is {shown.status}, not {status}")


def refused(code, action):
    try:
        action()
    except TwilioRestException as error:
        assert error.code == code, (error.code, error.status, error.msg)
        return
    raise AssertionError(f"{code} was expected")


server = HTTPServer(("127.0.0.1", 0), Documents)
threading.Thread(target=server.serve_forever, daemon=True).start()
here = f"http://127.0.0.1:{server.server_port}"

client = Client(SID, TOKEN, http_client=Bellwire())

refused(21211, lambda: client.calls.create(to="nobody", from_=FROM, url=here))
refused(20001, lambda: client.calls.create(to=NUMBER, from_=FROM, url=here, record=True))
refused(20404, lambda: client.calls("CA" + "0" * 32).fetch())
stranger = Client(SID, "wrong", http_client=Bellwire())
refused(20003, lambda: stranger.calls("CA" + "0" * 32).fetch())

call = client.calls.create(
    to=NUMBER,
    from_=FROM,
    url=f"{here}/first?a=b",
    status_callback=f"{here}/status",
    status_callback_event=["initiated", "completed"],
)
assert call.status == "queued" and call.direction == "outbound-api", call.__dict__
assert call.date_created.year >= 2024, call.date_created
wait_for(call, "in-progress")
while not any(path == "/first?a=b" for path, _, _ in asked):
    time.sleep(0.05)

again = VoiceResponse()
again.pause(length=60)
updated = client.calls(call.sid).update(twiml=str(again))
assert updated.sid == call.sid and updated.status == "in-progress"
assert client.calls(call.sid).update(status="completed").status == "completed"
over = wait_for(call, "completed")
assert over.end_time >= over.start_time and int(over.duration) >= 0
refused(21220, lambda: client.calls(call.sid).update(twiml=str(again)))

second = client.calls.create(to=NUMBER, from_=FROM, twiml="<Response><Hangup/></Response>")
wait_for(second, "completed")
listed = [one.sid for one in client.calls.list(page_size=1, limit=10)]
assert listed[:2] == [second.sid, call.sid], listed

until = time.monotonic() + 30
while len([1 for path, _, _ in asked if path == "/status"]) < 2 and time.monotonic() < until:
    time.sleep(0.05)
statuses = [fields["CallStatus"] for path, fields, _ in asked if path == "/status"]
assert statuses == ["initiated", "completed"], statuses
assert asked and all(valid for _, _, valid in asked), asked
print(json.dumps({"call": call.sid, "requests": len(asked)}))
