#!/usr/bin/env python3
"""A bot on Bellwire's stream: places a call and talks on it.

    pip install websockets          (or: apt install python3-websockets)
    bot.py --to +15550100 echo
    bot.py --to +15550100 play greeting.wav
    bot.py --to +15550100 interrupt story.wav     stops when the caller speaks

The protocol is in docs/stream.md. Each event is printed as one JSON object a line.
"""

import argparse
import asyncio
import contextlib
import json
import os
import urllib.request

import websockets


def ask(api, method, path, body=None):
    """One request to the REST API; its answer."""
    request = urllib.request.Request(api + path, method=method)
    if key_file := os.environ.get("BELLWIRE_KEY_FILE"):
        with open(key_file) as file:
            request.add_header("Authorization", "Bearer " + file.read().strip())
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def place(api, to, query):
    """Makes a call and gives the address of its stream, with a ticket that is good once."""
    instance = ask(api, "GET", "/v1/instances")[0]["id"]
    call = ask(api, "POST", "/v1/calls", {
        "instanceId": instance, "type": "DYNAMIC_STREAM", "target": {"phoneNumber": to},
    })
    ticket = ask(api, "POST", f"/v1/calls/{call['id']}/tickets", {})
    return "ws" + api.removeprefix("http") + ticket["url"] + "&" + query


async def send(socket, **message):
    await socket.send(json.dumps(message))


async def play(socket, file):
    """Sends a WAV or MP3 file as it is; up to a minute is queued by the gateway."""
    await send(socket, type="utterance", id=os.path.basename(file))
    with open(file, "rb") as sound:
        while piece := sound.read(16384):
            await socket.send(piece)
    await send(socket, type="utterance_end")
    # Comes back when the last sample before it has left.
    await send(socket, type="mark", name="end")


async def talk(args):
    # What we hear is what we send back: 16 bit at the telephone's rate. Files bring their own.
    query = "protocol=native&listen=caller&out_rate=8000"
    query += {
        "echo": "&format=pcm_s16le&rate=8000&playout=live",
        "play": "&format=auto",
        "interrupt": "&format=auto&barge_in=notify",
    }[args.bot]
    url = place(args.api, args.to, query)
    async with websockets.connect(url, subprotocols=["bellwire.stream.v1"], max_size=None) as socket:
        async for message in socket:
            if isinstance(message, bytes):
                if args.bot == "echo":
                    # The last words may be on their way here already.
                    with contextlib.suppress(websockets.ConnectionClosedOK):
                        await socket.send(message)
                continue
            event = json.loads(message)
            print(message, flush=True)
            kind = event["type"]
            if kind == "call_event" and event["event"] == "answered" and args.bot != "echo":
                await play(socket, args.file)
            elif kind == "speech" and event["state"] == "started" and args.bot == "interrupt":
                # `playback` will say how much of it the caller has heard.
                await send(socket, type="clear")
            elif kind == "mark":
                await send(socket, type="hangup", after="playback")


def main():
    parser = argparse.ArgumentParser(description="A bot on Bellwire's stream.")
    parser.add_argument("--api", default="http://127.0.0.1:8080")
    parser.add_argument("--to", required=True)
    parser.add_argument("bot", choices=["echo", "play", "interrupt"])
    parser.add_argument("file", nargs="?")
    args = parser.parse_args()
    if args.bot != "echo" and not args.file:
        parser.error(f"{args.bot} needs a file")
    asyncio.run(talk(args))


if __name__ == "__main__":
    main()
