"""llama.cpp, by llama-cpp-python, on request lines: `llama_worker.py GGUF THREADS IDS`. A line is how often, a tab, and the case."""

import sys
import time

import llama_cpp
import numpy as np

STEPS = 32
model, threads, ids = sys.argv[1:]
prompt = [int(token) for token in open(ids).read().split()]


@llama_cpp.llama_log_callback
def silent(_level, _text, _user):
    pass


llama_cpp.llama_log_set(silent, None)
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(model.encode(), llama_cpp.llama_model_default_params())
vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
settings = llama_cpp.llama_context_default_params()
settings.n_ctx, settings.n_batch, settings.n_ubatch = 1024, 512, 512
settings.n_threads = settings.n_threads_batch = int(threads)
context = llama_cpp.llama_init_from_model(model, settings)
memory = llama_cpp.llama_get_memory(context)


def read(tokens):
    numbers = (llama_cpp.llama_token * len(tokens))(*tokens)  # the batch only points to them
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(numbers, len(tokens))) != 0:
        raise RuntimeError("llama_decode failed")
    return int(np.argmax(np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (vocabulary,))))


for line in sys.stdin:
    times, case = line.rstrip("\n").split("\t")
    taken = []
    for _ in range(int(times)):
        llama_cpp.llama_memory_clear(memory, True)
        began = time.perf_counter()
        token = read(prompt)
        if case == "decode":
            began = time.perf_counter()
            for _ in range(STEPS):
                token = read([token])
        taken.append((time.perf_counter() - began) / (STEPS if case == "decode" else 1))
    print(" ".join(f"{seconds:.7f}" for seconds in taken), flush=True)
