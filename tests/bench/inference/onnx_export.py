"""MiniLM as ONNX, written from its safetensors file: `onnx_export.py SAFETENSORS FOLDER`.

Three graphs, from token ids to vectors of length 1: `plain`, of standard operators as an exporter writes them; `fused`, of
onnxruntime's own Attention, SkipLayerNormalization and BiasGelu; `int8`, the plain one quantised dynamically, per channel.
"""

import json
import pathlib
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

WIDTH, HEADS, LAYERS, EPSILON = 384, 12, 6, 1e-12
SIZE = WIDTH // HEADS


def read(path):
    raw = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    types = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name.removeprefix("bert.")] = np.frombuffer(raw[begin:end], types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.constants = weights, [], {}

    def constant(self, name, array):
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def weight(self, name, transposed=False):
        array = self.weights[name]
        return self.constant(name, array.T if transposed else array)

    def node(self, operator, *inputs, domain="", output=None, **attributes):
        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, name=f"node_{len(self.nodes)}", **attributes))
        return output

    def own(self, operator, *inputs, **attributes):
        return self.node(operator, *inputs, domain="com.microsoft", **attributes)

    def linear(self, x, name):
        return self.node("Add", self.node("MatMul", x, self.weight(f"{name}.weight", True)), self.weight(f"{name}.bias"))

    def norm(self, x, name):
        return self.node("LayerNormalization", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), axis=-1, epsilon=EPSILON)

    def number(self, name, value):
        return self.constant(name, np.array(value, np.float32))


def plain_layer(graph, x, layer, mask):
    def heads(name, order):
        split = graph.node("Reshape", graph.linear(x, f"{layer}attention.self.{name}"), graph.constant("by_head", np.array([0, 0, HEADS, SIZE])))
        return graph.node("Transpose", split, perm=order)

    scores = graph.node("MatMul", heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]))
    scores = graph.node("Add", graph.node("Div", scores, graph.number("root", SIZE**0.5)), mask)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), heads("value", [0, 2, 1, 3]))
    joined = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), graph.constant("joined", np.array([0, 0, WIDTH])))
    x = graph.norm(graph.node("Add", graph.linear(joined, f"{layer}attention.output.dense"), x), f"{layer}attention.output.LayerNorm")
    up = graph.linear(x, f"{layer}intermediate.dense")
    erf = graph.node("Erf", graph.node("Div", up, graph.number("root_of_2", 2**0.5)))
    up = graph.node("Mul", graph.node("Mul", up, graph.node("Add", erf, graph.number("one", 1))), graph.number("half", 0.5))
    return graph.norm(graph.node("Add", graph.linear(up, f"{layer}output.dense"), x), f"{layer}output.LayerNorm")


def fused_layer(graph, x, layer, mask):
    parts = [f"{layer}attention.self.{part}" for part in ("query", "key", "value")]
    weight = graph.constant(f"{layer}qkv.weight", np.concatenate([graph.weights[f"{part}.weight"].T for part in parts], 1))
    bias = graph.constant(f"{layer}qkv.bias", np.concatenate([graph.weights[f"{part}.bias"] for part in parts]))

    def skip(y, x, dense, norm):
        y = graph.node("MatMul", y, graph.weight(f"{dense}.weight", True))
        return graph.own("SkipLayerNormalization", y, x, graph.weight(f"{norm}.weight"), graph.weight(f"{norm}.bias"), graph.weight(f"{dense}.bias"), epsilon=EPSILON)

    mixed = graph.own("Attention", x, weight, bias, mask, num_heads=HEADS)
    x = skip(mixed, x, f"{layer}attention.output.dense", f"{layer}attention.output.LayerNorm")
    up = graph.node("MatMul", x, graph.weight(f"{layer}intermediate.dense.weight", True))
    up = graph.own("BiasGelu", up, graph.weight(f"{layer}intermediate.dense.bias"))
    return skip(up, x, f"{layer}output.dense", f"{layer}output.LayerNorm")


def export(weights, path, fused):
    graph = Graph(weights)
    words = graph.node("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    kinds = graph.node("Gather", graph.weight("embeddings.token_type_embeddings.weight"), "token_type_ids")
    first, second = graph.constant("first_axis", np.array([0])), graph.constant("second_axis", np.array([1]))
    length = graph.node("Gather", graph.node("Shape", "input_ids"), second)
    places = graph.node("Slice", graph.weight("embeddings.position_embeddings.weight"), first, length, first)
    x = graph.node("Add", graph.node("Add", words, kinds), graph.node("Unsqueeze", places, first))
    x = graph.norm(x, "embeddings.LayerNorm")
    real = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    if fused:
        mask = graph.node("Cast", "attention_mask", to=TensorProto.INT32)
    else:
        padding = graph.node("Sub", graph.number("one", 1), graph.node("Unsqueeze", real, graph.constant("inner_axes", np.array([1, 2]))))
        mask = graph.node("Mul", padding, graph.number("lowest", np.finfo(np.float32).min))
    for layer in range(LAYERS):
        x = (fused_layer if fused else plain_layer)(graph, x, f"encoder.layer.{layer}.", mask)
    column = graph.node("Unsqueeze", real, graph.constant("last_axis", np.array([2])))
    total = graph.node("ReduceSum", graph.node("Mul", x, column), second, keepdims=0)
    mean = graph.node("Div", total, graph.node("ReduceSum", column, second, keepdims=0))
    graph.node("Div", mean, graph.node("ReduceL2", mean, axes=[1], keepdims=1), output="vectors")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask", "token_type_ids")]
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", WIDTH])
    made = helper.make_graph(graph.nodes, "minilm", inputs, [output], list(graph.constants.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 8
    onnx.save(model, path)


source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
tensors = read(source)
export(tensors, folder / "plain.onnx", False)
export(tensors, folder / "fused.onnx", True)
quantize_dynamic(str(folder / "plain.onnx"), str(folder / "int8.onnx"), per_channel=True, weight_type=QuantType.QInt8,
                 extra_options={"DefaultTensorType": TensorProto.FLOAT})
