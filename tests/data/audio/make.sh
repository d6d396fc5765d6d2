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
sox -D "$work/mono8000.wav" -e ms-adpcm mono-8000-ms-adpcm.wav
sox -D "$work/stereo16000.wav" -e ima-adpcm stereo-16000-ima-adpcm.wav
sox -D "$work/mono16000.wav" -e ima-adpcm mono-16000-ima-adpcm.wav
sox -D "$work/stereo16000.wav" -e ms-adpcm stereo-16000-ms-adpcm.wav

# What the fuzzers start from: the beginnings of all this, and headers that lie.
file=../../../fuzz/corpus/audio_file live=../../../fuzz/corpus/mp3_live
mkdir -p "$file" "$live"
for name in *.mp3 *.wav; do head -c 500 "$name" > "$file/$name"; done
head -c 300 mono-8000-ms-adpcm.wav | tail -c 200 > "$file/no-header"
printf 'RIFF\377\377\377\377WAVELIST\377\377\377\377INFO' > "$file/huge-list.wav"
printf 'RIFF\044\0\0\0WAVEfmt \020\0\0\0\001\0\001\0\100\037\0\0\200\076\0\0\002\0\020\0data\0\0\0\0\001\0' \
    > "$file/unfinished.wav"
printf 'ID3\004\0\0\177\177\177\177' > "$file/endless-tag.mp3"
# The first octet of a live case chooses the format (0 auto, 6 mp3, 7 wav), the second the chunks.
{ printf '\006\143'; head -c 900 mono-24000-vbr.mp3; } > "$live/vbr"
{ printf '\006\000'; head -c 600 mono-8000-untagged.mp3 | tail -c 500; } > "$live/joined"
{ printf '\000\012'; head -c 700 mono-16000-crc.mp3; printf 'TAG'; } > "$live/auto"
{ printf '\006\040'; head -c 300 mono-8000-untagged.mp3; printf 'junk\377\373'; \
    head -c 900 mono-16000-cbr.mp3; } > "$live/junk-and-another-rate"
{ printf '\007\003'; head -c 700 mono-8000-ms-adpcm.wav; } > "$live/wav"
{ printf '\003\001'; printf '\0\0\300\177\0\0\200\177\0'; } > "$live/floats"
