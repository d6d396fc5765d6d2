#!/bin/sh
# Makes the recordings of this directory anew: a chirp, sin 2π(300 t + 1000 t²), of 0.6 s, in every
# coding that needs a foreign encoder. Needs the Debian packages lame, sox and python3.
# The recordings are committed, so that the tests need none of these.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 - "$work" <<'PY'
import math, struct, sys, wave
for rate in (8000, 16000, 22050, 24000, 44100, 48000):
    n = rate * 6 // 10
    chirp = [0.6 * math.sin(2 * math.pi * (300 * i / rate + 1000 * (i / rate) ** 2)) for i in range(n)]
    for name, gains in (("mono", [1.0]), ("stereo", [1.0, 0.5])):
        with wave.open(f"{sys.argv[1]}/{name}{rate}.wav", "wb") as out:
            out.setparams((len(gains), 2, rate, n, "NONE", ""))
            out.writeframes(b"".join(
                struct.pack("<h", round(32767 * g * s)) for s in chirp for g in gains))
with open(f"{sys.argv[1]}/picture.jpg", "wb") as out:
    # No real picture, but as large as one, with octets in it that look like MPEG frames.
    out.write(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20 + b"\xff\xfb\x90\x64" * 1500)
PY

# Left to itself, lame picks another sample rate for a low bit rate. At a constant bit rate it
# takes 5 % off the volume, which cannot be turned off.
lame() { command lame --quiet --noreplaygain "$@"; }
lame -b 128 -m s --resample 44.1 "$work/stereo44100.wav" stereo-44100-cbr.mp3
lame -b 128 -m j --resample 48 "$work/stereo48000.wav" joint-48000-cbr.mp3
lame -V 4 -m m --resample 24 "$work/mono24000.wav" mono-24000-vbr.mp3
# Below these bit rates a frame is too short for the tag that tells the delay.
lame -b 64 -m m --resample 22.05 "$work/mono22050.wav" mono-22050-cbr.mp3
lame -b 64 -m m --resample 16 "$work/mono16000.wav" mono-16000-cbr.mp3
lame -b 32 -m m --resample 8 "$work/mono8000.wav" mono-8000-mpeg25.mp3
lame -b 16 -m m --resample 8 "$work/mono8000.wav" mono-8000-untagged.mp3
lame -b 32 -m m --resample 24 "$work/mono24000.wav" mono-24000-untagged.mp3
lame -b 64 -m m -p --resample 16 "$work/mono16000.wav" mono-16000-crc.mp3
lame -b 64 -m m --add-id3v2 --pad-id3v2-size 2000 --tt Chirp --ta Bellwire \
    --ti "$work/picture.jpg" --resample 16 "$work/mono16000.wav" mono-16000-id3-picture.mp3
sox "$work/mono8000.wav" -e ms-adpcm mono-8000-ms-adpcm.wav
sox "$work/stereo16000.wav" -e ima-adpcm stereo-16000-ima-adpcm.wav
sox "$work/mono16000.wav" -e ima-adpcm mono-16000-ima-adpcm.wav
sox "$work/stereo16000.wav" -e ms-adpcm stereo-16000-ms-adpcm.wav
