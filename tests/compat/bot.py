"""A Pipecat bot as its users write one: it greets, is interrupted, answers and ends.

    bot.py serve PORT             a server that a vendor's stream dials (Twilio, Telnyx, Plivo),
                                  told apart by Pipecat from the first messages
    bot.py serve-vonage PORT      the same for Vonage, which Pipecat does not tell apart
    bot.py serve-pipecat PORT     the same in Pipecat's own frames
    bot.py dial                   a client of a stream that speaks Pipecat's own frames; dials the
                                  URL that it reads, once it is loaded

Nothing in it knows Bellwire: transports and serializers are Pipecat's own, keys come from the
environment, and those vendors' serializers that hang up by REST do. What it hears and does is
printed, a JSON object a line.
"""

import asyncio
import json
import math
import os
import struct
import sys

from loguru import logger
from pipecat.frames.frames import (
    EndWorkerFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

RATE = 16000
LOUD = 1500


def say(event: str, **more) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


def tone(hz: float, seconds: float) -> bytes:
    count = int(RATE * seconds)
    samples = (int(10000 * math.sin(2 * math.pi * hz * n / RATE)) for n in range(count))
    return struct.pack(f"<{count}h", *samples)


def level(audio: bytes) -> float:
    samples = struct.unpack(f"<{len(audio) // 2}h", audio)
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))


class Mind(FrameProcessor):
    """Talks for ten seconds until somebody interrupts, answers that, and hangs up."""

    def __init__(self):
        super().__init__()
        self.speaker = None
        self.interrupted = False
        self.heard = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self.push_frame(frame, direction)
            self.speaker = self.create_task(self.speak(1500, 10, "greeting"))
            return
        if isinstance(frame, InputDTMFFrame):
            say("key", digit=frame.button.value)
        elif isinstance(frame, InputAudioRawFrame):
            self.heard += len(frame.audio)
            if not self.interrupted and level(frame.audio) > LOUD:
                self.interrupted = True
                await self.interrupt()
            return
        await self.push_frame(frame, direction)

    async def speak(self, hz: float, seconds: float, name: str):
        say("speaks", what=name)
        audio = tone(hz, seconds)
        step = RATE * 2 // 50
        for start in range(0, len(audio), step):
            piece = audio[start : start + step]
            await self.push_frame(OutputAudioRawFrame(piece, RATE, 1))

    async def interrupt(self):
        say("interrupted")
        await self.cancel_task(self.speaker)
        await self.broadcast_interruption()
        self.speaker = self.create_task(self.answer())

    async def answer(self):
        await asyncio.sleep(0.5)
        await self.speak(700, 0.5, "answer")
        # Whoever hangs up by REST does so 40 ms behind the last sound, on its way or not.
        await self.speak(0, 0.6, "silence")
        say("ends", heard_ms=self.heard * 1000 // (2 * RATE))
        await self.push_frame(EndWorkerFrame())


async def run(transport) -> None:
    pipeline = Pipeline([transport.input(), Mind(), transport.output()])
    params = PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE)
    worker = PipelineWorker(pipeline, params=params, idle_timeout_secs=60)

    @transport.event_handler("on_client_disconnected" if serves() else "on_disconnected")
    async def gone(*_):
        say("disconnected")
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    say("done")


def serves() -> bool:
    return sys.argv[1].startswith("serve")


def serve(port: int, mode: str) -> None:
    import uvicorn
    from fastapi import FastAPI, WebSocket
    from pipecat.runner.utils import parse_telephony_websocket
    from pipecat.serializers.plivo import PlivoFrameSerializer
    from pipecat.serializers.protobuf import ProtobufFrameSerializer
    from pipecat.serializers.telnyx import TelnyxFrameSerializer
    from pipecat.serializers.twilio import TwilioFrameSerializer
    from pipecat.serializers.vonage import VonageFrameSerializer
    from pipecat.transports.websocket.fastapi import (
        FastAPIWebsocketParams,
        FastAPIWebsocketTransport,
    )

    app = FastAPI()

    def serializer(kind: str, call):
        if kind == "twilio":
            return TwilioFrameSerializer(
                stream_sid=call["stream_id"],
                call_sid=call["call_id"],
                account_sid=os.environ["TWILIO_ACCOUNT_SID"],
                auth_token=os.environ["TWILIO_AUTH_TOKEN"],
            )
        if kind == "telnyx":
            return TelnyxFrameSerializer(
                stream_id=call["stream_id"],
                outbound_encoding=call["outbound_encoding"],
                inbound_encoding="PCMU",
                call_control_id=call["call_id"],
                api_key=os.environ["TELNYX_API_KEY"],
            )
        if kind == "plivo":
            return PlivoFrameSerializer(
                stream_id=call["stream_id"],
                call_id=call["call_id"],
                auth_id=os.environ["PLIVO_AUTH_ID"],
                auth_token=os.environ["PLIVO_AUTH_TOKEN"],
            )
        raise ValueError(kind)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        if mode == "serve-vonage":
            kind, call, words = "vonage", {}, VonageFrameSerializer()
        elif mode == "serve-pipecat":
            kind, call, words = "pipecat", {}, ProtobufFrameSerializer()
        else:
            kind, call = await parse_telephony_websocket(websocket)
            words = serializer(kind, call)
        say("connected", kind=kind, call=dict(call))
        params = FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=words
        )
        await run(FastAPIWebsocketTransport(websocket=websocket, params=params))

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


async def dial() -> None:
    from pipecat.serializers.protobuf import ProtobufFrameSerializer
    from pipecat.transports.websocket.client import (
        WebsocketClientParams,
        WebsocketClientTransport,
    )

    say("ready")
    url = sys.stdin.readline().strip()
    params = WebsocketClientParams(
        audio_in_enabled=True,
        audio_out_enabled=True,
        add_wav_header=False,
        serializer=ProtobufFrameSerializer(),
    )
    await run(WebsocketClientTransport(url, params=params))


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    if sys.argv[1] == "dial":
        asyncio.run(dial())
    else:
        serve(int(sys.argv[2]), sys.argv[1])
