"""Small seeded checkpoints of each family and head, and what they answer: no published weights of these tasks can be had
from a package registry.

    encoders.py --checkpoints ../checkpoints --out ../golden/encoders.json

Nothing here is shared with the code under test. Weights are drawn from numpy's PCG64 with a fixed seed, large enough that
every part of a model shows in its answer, and stored as float32; the forward pass is float64, one text at a time and
without padding. Tokenizers are written out twice: as tokenizer.json for the code under test, and as the few lines below.
"""

import argparse
import json
import math
import struct
from pathlib import Path

import numpy as np

WIDTH, HEADS, FORWARD, LAYERS, POSITIONS, EPS = 16, 2, 32, 2, 40, 1e-12
WORDS = "the a cat dog bank rate rain sun anna paul rome oslo lives in near sat on and rose fell".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", *WORDS, *LETTERS, *("##" + c for c in LETTERS)]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]

TEXTS = [
    "the cat sat on the bank",
    "anna lives in oslo, paul lives near rome.",
    "rain fell and the sun rose",
    "rate",
    "",
    "paul anna rome unknowable dogcat x",
    "the rate rose and fell and rose and fell " * 8,
]


# Weights


def checkpoint(kind, labels, head, seed):
    """The tensors of one checkpoint by their published names, and its config.json."""
    random = np.random.Generator(np.random.PCG64(seed))
    vocabulary = len(BERT) if kind != "roberta" else len(ROBERTA) + 256
    first = 2 if kind == "roberta" else 0
    tensors = {}

    def weight(name, *shape):
        tensors[name] = (random.standard_normal(shape) * 0.4).astype(np.float32)

    def dense(name, rows, columns):
        weight(name + ".weight", rows, columns)
        weight(name + ".bias", rows)

    def norm(name):
        tensors[name + ".weight"] = (1 + random.standard_normal(WIDTH) * 0.2).astype(np.float32)
        weight(name + ".bias", WIDTH)

    p = kind + "."
    weight(p + "embeddings.word_embeddings.weight", vocabulary, WIDTH)
    weight(p + "embeddings.position_embeddings.weight", POSITIONS + first, WIDTH)
    if kind != "distilbert":
        weight(p + "embeddings.token_type_embeddings.weight", 2 if kind == "bert" else 1, WIDTH)
    norm(p + "embeddings.LayerNorm")
    for layer in range(LAYERS):
        if kind == "distilbert":
            q = f"{p}transformer.layer.{layer}."
            names = ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm"]
            names += ["ffn.lin1", "ffn.lin2", "output_layer_norm"]
        else:
            q = f"{p}encoder.layer.{layer}."
            names = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
            names += ["attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"]
        for name in names[:4]:
            dense(q + name, WIDTH, WIDTH)
        norm(q + names[4])
        dense(q + names[5], FORWARD, WIDTH)
        dense(q + names[6], WIDTH, FORWARD)
        norm(q + names[7])
    if head == "sequence":
        before, last = {
            "bert": ("bert.pooler.dense", "classifier"),
            "distilbert": ("pre_classifier", "classifier"),
            "roberta": ("classifier.dense", "classifier.out_proj"),
        }[kind]
        dense(before, WIDTH, WIDTH)
        dense(last, len(labels), WIDTH)
    else:
        dense("classifier", len(labels), WIDTH)

    task = "ForSequenceClassification" if head == "sequence" else "ForTokenClassification"
    config = {
        "architectures": [{"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta"}[kind] + task],
        "model_type": kind,
        "vocab_size": vocabulary,
        "max_position_embeddings": POSITIONS + first,
        "pad_token_id": 1 if kind == "roberta" else 0,
        "id2label": {str(number): label for number, label in enumerate(labels)},
    }
    if kind == "distilbert":
        config |= {"dim": WIDTH, "n_heads": HEADS, "n_layers": LAYERS, "hidden_dim": FORWARD, "activation": "gelu"}
    else:
        config |= {
            "hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "layer_norm_eps": EPS,
            "intermediate_size": FORWARD, "hidden_act": "gelu", "type_vocab_size": 2 if kind == "bert" else 1,
        }  # fmt: skip
    return tensors, config


def save(path, tensors):
    """A safetensors file: the header's length, the header, the numbers."""
    header, data = {}, b""
    for name in sorted(tensors):
        bytes_ = tensors[name].tobytes()
        header[name] = {
            "dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [len(data), len(data) + len(bytes_)],
        }  # fmt: skip
        data += bytes_
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


# Tokenizers


def byte_letters():
    """GPT-2's letters for bytes: printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 256
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(extra)
            extra += 1
    return letters


def tokenizer_json(kind):
    common = {"version": "1.0", "truncation": None, "padding": None}
    if kind == "roberta":
        vocabulary = {token: number for number, token in enumerate(ROBERTA)}
        vocabulary |= {letter: len(ROBERTA) + byte for byte, letter in byte_letters().items()}
        return common | {
            "added_tokens": added(ROBERTA),
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": {
                "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
                "trim_offsets": True, "add_prefix_space": False,
            },
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {
                "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary, "merges": [],
            },
        }  # fmt: skip
    piece = lambda name, type_: {"SpecialToken": {"id": name, "type_id": type_}}
    text = lambda name, type_: {"Sequence": {"id": name, "type_id": type_}}
    return common | {
        "added_tokens": added(BERT[:5]),
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0)],
            "pair": [piece("[CLS]", 0), text("A", 0), piece("[SEP]", 0), text("B", 1), piece("[SEP]", 1)],
            "special_tokens": {
                name: {"id": name, "ids": [BERT.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {token: number for number, token in enumerate(BERT)},
        },
    }  # fmt: skip


def added(tokens):
    return [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True} for number, token in enumerate(tokens)
    ]  # fmt: skip


def pieces(text):
    """(id, first, after, is the first of its word) of a lower-case text for BERT."""
    at = 0
    for word in text.replace(",", " , ").replace(".", " . ").split():
        start = text.index(word, at)
        at, low = start + len(word), 0
        while low < len(word):
            for high in range(len(word), low, -1):
                piece = ("##" if low else "") + word[low:high]
                if piece in BERT:
                    yield BERT.index(piece), start + low, start + high, low == 0
                    low = high
                    break


def ids_of(kind, text):
    if kind == "roberta":
        ids = [len(ROBERTA) + byte for byte in text.encode()]
        return [0, *ids[: POSITIONS - 2], 2]
    return [2, *[piece[0] for piece in pieces(text)][: POSITIONS - 2], 3]


# Forward


def forward(tensors, kind, ids, types):
    get = lambda name: tensors[name].astype(np.float64)
    p = kind + "."
    first = 2 if kind == "roberta" else 0

    def dense(x, name):
        return x @ get(name + ".weight").T + get(name + ".bias")

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * get(name + ".weight") + get(name + ".bias")

    x = get(p + "embeddings.word_embeddings.weight")[ids]
    x = x + get(p + "embeddings.position_embeddings.weight")[first : first + len(ids)]
    if kind != "distilbert":
        x = x + get(p + "embeddings.token_type_embeddings.weight")[types]
    x = norm(x, p + "embeddings.LayerNorm")
    erf = np.vectorize(math.erf)
    for layer in range(LAYERS):
        if kind == "distilbert":
            q = f"{p}transformer.layer.{layer}."
            query, key, value, out, mid = "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm"
            up, down, end = "ffn.lin1", "ffn.lin2", "output_layer_norm"
        else:
            q = f"{p}encoder.layer.{layer}."
            query, key, value = "attention.self.query", "attention.self.key", "attention.self.value"
            out, mid = "attention.output.dense", "attention.output.LayerNorm"
            up, down, end = "intermediate.dense", "output.dense", "output.LayerNorm"
        split = lambda y: y.reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
        a, b, c = (split(dense(x, q + name)) for name in (query, key, value))
        scores = a @ b.transpose(0, 2, 1) / math.sqrt(WIDTH // HEADS)
        attended = (softmax(scores) @ c).transpose(1, 0, 2).reshape(len(ids), WIDTH)
        x = norm(x + dense(attended, q + out), q + mid)
        y = dense(x, q + up)
        y = y * 0.5 * (1 + erf(y / math.sqrt(2)))
        x = norm(x + dense(y, q + down), q + end)
    return x, dense


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def sequence(tensors, kind, ids, types):
    hidden, dense = forward(tensors, kind, ids, types)
    if kind == "bert":
        return dense(np.tanh(dense(hidden[0], "bert.pooler.dense")), "classifier")
    if kind == "distilbert":
        return dense(np.maximum(dense(hidden[0], "pre_classifier"), 0), "classifier")
    return dense(np.tanh(dense(hidden[0], "classifier.dense")), "classifier.out_proj")


def entities(tensors, labels, text):
    """BIO: a word has the label of its first piece."""
    found = list(pieces(text))[: POSITIONS - 2]
    ids = [2, *[piece[0] for piece in found], 3]
    hidden, dense = forward(tensors, "bert", ids, [0] * len(ids))
    scores = softmax(dense(hidden, "classifier"))[1:-1]
    words = []
    for (_, start, after, begins), row in zip(found, scores):
        if begins:
            words.append([start, after, labels[int(row.argmax())], float(row.max())])
        else:
            words[-1][1] = after
    result, open_ = [], None
    for start, after, label, score in words:
        mark, _, name = label.partition("-")
        if label == "O":
            open_ = None
        elif mark == "I" and open_ is not None and open_["label"] == name:
            open_["end"] = after
            open_["scores"].append(score)
        else:
            open_ = {"label": name, "start": start, "end": after, "scores": [score]}
            result.append(open_)
    for one in result:
        scores = one.pop("scores")
        one["score"] = float(f"{sum(scores) / len(scores):.8g}")
        one["text"] = text[one["start"] : one["end"]]
    return result


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--checkpoints", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments = arguments.parse_args()
    digits = lambda values: [float(f"{value:.8g}") for value in values]
    golden = {}
    marks = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    for name, kind, labels, head, seed in [
        ("cross", "bert", ["LABEL_0"], "sequence", 11),
        ("mood", "distilbert", ["bad", "neutral", "good"], "sequence", 12),
        ("topic", "roberta", ["animals", "money", "weather", "people"], "sequence", 13),
        ("names", "bert", marks, "tokens", 14),
    ]:
        tensors, config = checkpoint(kind, labels, head, seed)
        folder = arguments.checkpoints / name
        folder.mkdir(parents=True, exist_ok=True)
        save(folder / "model.safetensors", tensors)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(kind), ensure_ascii=False) + "\n")
        if name == "cross":
            query = "the bank rate"
            documents = [text for text in TEXTS if len(text) < 100]
            asked = [piece[0] for piece in pieces(query)]
            scores = []
            for document in documents:
                read = [piece[0] for piece in pieces(document)]
                ids = [2, *asked, 3, *read, 3]
                types = [0] * (len(asked) + 2) + [1] * (len(read) + 1)
                scores.append(1 / (1 + math.exp(-sequence(tensors, kind, ids, types)[0])))
            # A text by itself, as a classifier with a single label reads it.
            alone = [sequence(tensors, kind, ids, [0] * len(ids))[0] for ids in (ids_of(kind, text) for text in documents)]
            alone = digits([1 / (1 + math.exp(-logit)) for logit in alone])
            golden[name] = {"query": query, "documents": documents, "scores": digits(scores), "alone": alone}
        elif name == "names":
            golden[name] = [{"text": text, "entities": entities(tensors, labels, text)} for text in TEXTS]
        else:
            cases = []
            for text in TEXTS:
                ids = ids_of(kind, text)
                logits = sequence(tensors, kind, ids, [0] * len(ids))
                case = {"text": text, "scores": dict(zip(labels, digits(softmax(logits))))}
                case["alone"] = dict(zip(labels, digits(1 / (1 + np.exp(-logits)))))
                cases.append(case)
            golden[name] = cases
    arguments.out.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
