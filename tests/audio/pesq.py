"""Scores narrow-band PESQ (ITU-T P.862) of WAV files: python -P pesq.py ORIGINAL HEARD ...

ORIGINAL is speech at any rate of 8 kHz or more, HEARD is what came out at 8 kHz. The reference is
ORIGINAL at 8 kHz by an ideal low-pass (a cut in its spectrum), so that no resampler of ours has a
part in it. Prints one score per pair.
"""

import sys
import wave

import numpy
from pesq import pesq


def read(path):
    with wave.open(path) as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2, path
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples.astype(float), file.getframerate()


def at_8_khz(samples, rate):
    if rate == 8000:
        return samples
    length = len(samples) * 8000 // rate
    samples = samples[: length * rate // 8000]
    spectrum = numpy.fft.rfft(samples)[: length // 2 + 1]
    return numpy.fft.irfft(spectrum, length) * (length / len(samples))


def main(paths):
    for original, heard in zip(paths[::2], paths[1::2]):
        reference = at_8_khz(*read(original))
        samples, rate = read(heard)
        assert rate == 8000, heard
        length = min(len(reference), len(samples))
        reference = numpy.clip(numpy.rint(reference), -32768, 32767)
        score = pesq(8000, reference[:length].astype("<i2"), samples[:length].astype("<i2"), "nb")
        print(f"{score:.4f}")


main(sys.argv[1:])
