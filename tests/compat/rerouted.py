"""Runs a bot for which its vendor's REST is at another address: rerouted.py BASE BOT.PY ARGUMENT ...

The addresses stand in Pipecat's serializers, and the bot is not to be changed: what it asks of
Twilio, Telnyx or Plivo by aiohttp is asked of BASE, word for word. Each such request is printed
with what was answered, a JSON object a line.
"""

import json
import runpy
import sys

import aiohttp

BASE = sys.argv[1]
VENDORS = ("https://api.twilio.com", "https://api.telnyx.com", "https://api.plivo.com")
asked = aiohttp.ClientSession._request


async def ask(session, method, url, **more):
    vendor = next(vendor for vendor in VENDORS if str(url).startswith(vendor + "/"))
    response = await asked(session, method, BASE + str(url).removeprefix(vendor), **more)
    said = {"event": "rest", "request": f"{method} {url}", "status": response.status}
    print(json.dumps(said), flush=True)
    return response


aiohttp.ClientSession._request = ask
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
