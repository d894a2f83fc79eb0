"""onnxruntime on request lines: `ort_worker.py MODEL THREADS TEXTS ASSETS`. A line is how often, a tab, and the case."""

import json
import sys
import time

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

model, threads, texts, assets = sys.argv[1:]
ort.set_default_logger_severity(3)
options = ort.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
tokenizer = Tokenizer.from_file(f"{assets}/minilm/tokenizer.json")
tokenizer.no_padding()
tokenizer.no_truncation()


def feed(batch):
    # Tokenising is no part of its time, though it is of ours.
    ids = [encoding.ids for encoding in tokenizer.encode_batch(batch)]
    longest = max(map(len, ids))
    matrix = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros_like(matrix)
    for row, one in enumerate(ids):
        matrix[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return {"input_ids": matrix, "attention_mask": mask, "token_type_ids": np.zeros_like(matrix)}


cases = {name: feed(batch) for name, batch in json.load(open(texts)).items()}
for line in sys.stdin:
    times, case = line.rstrip("\n").split("\t")
    if times == "vectors":
        print(json.dumps([row for _, fed in sorted(cases.items()) for row in session.run(None, fed)[0].tolist()]), flush=True)
        continue
    taken = []
    for _ in range(int(times)):
        began = time.perf_counter()
        session.run(None, cases[case])
        taken.append(time.perf_counter() - began)
    print(" ".join(f"{seconds:.7f}" for seconds in taken), flush=True)
