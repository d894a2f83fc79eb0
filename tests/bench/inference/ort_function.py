"""The same function in Python: Oracle's FDK, onnxruntime, and the tokenizers package."""

import json
import os

import numpy as np
import onnxruntime as ort
from fdk import response
from tokenizers import Tokenizer

TOKENIZER = Tokenizer.from_file(os.environ["TOKENIZER"])
TOKENIZER.no_padding()
TOKENIZER.enable_truncation(256)
OPTIONS = ort.SessionOptions()
OPTIONS.intra_op_num_threads = int(os.environ["THREADS"])
OPTIONS.log_severity_level = 3
SESSION = ort.InferenceSession(os.environ["MODEL"], OPTIONS, providers=["CPUExecutionProvider"])


def handler(ctx, data=None):
    texts = json.loads(data.getvalue())["inputs"]
    encodings = TOKENIZER.encode_batch(texts)
    longest = max(len(encoding.ids) for encoding in encodings)
    ids = np.zeros((len(texts), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding.ids)] = encoding.ids
        mask[row, : len(encoding.ids)] = 1
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    vectors = SESSION.run(None, feed)[0]
    return response.Response(ctx, json.dumps({"embeddings": vectors.tolist()}), headers={"Content-Type": "application/json"})
