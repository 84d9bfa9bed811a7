"""A real model server, of a model that fits in half a megabyte: run by `local_server.py`, in an environment of its own.

The model is a Llama of two layers with random weights, so what it says is noise; it is written here, and nothing is
downloaded. The server is llama.cpp's own (by way of the package `xllamacpp`), on a free port of loopback, which is
printed.
"""

import sys
import time
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WINDOW = 512
WIDTH = 64
HEADS = 4
INNER = 128
LAYERS = 2
SEED = 7


def write_model(path: Path) -> None:
    """Write the file: a vocabulary of single bytes, and weights by chance."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    kinds = gguf.TokenType
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(names))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names)
    writer.add_token_scores([0.0] * len(names))
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256, kinds.NORMAL])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    chance = np.random.default_rng(SEED)
    shapes = {"token_embd": (len(names), WIDTH), "output_norm": (WIDTH,), "output": (len(names), WIDTH)}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        shapes |= {f"{block}{name}_norm": (WIDTH,) for name in ("attn", "ffn")}
        shapes |= {f"{block}attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        shapes |= {f"{block}ffn_{name}": (INNER, WIDTH) for name in ("gate", "up")}
        shapes[f"{block}ffn_down"] = (WIDTH, INNER)
    for name, shape in shapes.items():
        weights = np.ones(shape) if len(shape) == 1 else chance.standard_normal(shape) * 0.05
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(path: Path) -> None:
    """Serve the model until this process is ended."""
    write_model(path)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = WINDOW
    params.n_parallel = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
