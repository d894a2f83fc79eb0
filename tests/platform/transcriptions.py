"""Asks a served Whisper as OpenAI's own client does: transcriptions.py BASE_URL RECORDING. Prints one JSON object."""

import json
import sys

import openai

url, path = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
ask = lambda **more: client.audio.transcriptions.create(**({"model": "whisper-tiny.en", "file": open(path, "rb")} | more))

said = {"json": ask().text}
verbose = ask(response_format="verbose_json", timestamp_granularities=["segment"], language="en", temperature=0)
said["verbose"] = verbose.text
said["duration"] = float(verbose.duration)
said["segments"] = [[part.start, part.end, part.text, part.avg_logprob] for part in verbose.segments]
for form in ("text", "srt", "vtt"):
    said[form] = ask(response_format=form)
try:
    ask(model="whisper-1")
except openai.NotFoundError as error:
    said["unknown"] = [error.code, error.param, error.message]
for name, more in {
    "language": {"language": "de"},
    "format": {"response_format": "xml"},
    "file": {"file": ("x.wav", b"no sound at all, and nothing else")},
    "words": {"response_format": "verbose_json", "timestamp_granularities": ["word"]},
}.items():
    try:
        ask(**more)
    except openai.BadRequestError as error:
        said[name] = [error.param, error.message]
print(json.dumps(said))
