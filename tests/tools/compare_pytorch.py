#!/usr/bin/env python3
"""The trainer's mathematics and speed on the CPU beside PyTorch's, in one run; and, with a run directory, the exported model in transformers.

    python3 -m venv V && V/bin/pip install torch numpy safetensors transformers
    cargo bench --no-run
    V/bin/python tests/tools/compare_pytorch.py BENCH-EXECUTABLE [RUN-DIRECTORY]
    V/bin/python tests/tools/compare_pytorch.py --cuda BENCH-EXECUTABLE

Twenty steps of AdamW from the same weights on the same tokens: the losses must agree to 1e-4. PyTorch's model is written as one
would write it by hand: `scaled_dot_product_attention`, fused AdamW, 32-bit floats. CPU seconds of all threads; PyTorch gets the
same number of threads as cores. With --cuda: `cargo bench -- gpu` (its variables choose size, steps and data) beside the same model
compiled by PyTorch with 16-bit products, flash attention and fused AdamW; losses must agree to 1 % at every step. The exported model must give the same logits as `tamis`' own (through the held-out loss of a text).
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

DIM, HEADS, LAYERS, EPS, THETA = 256, 8, 6, 1e-5, 10_000.0


class Model(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.is_tied = "lm_head.weight" not in weights
        self.names = list(weights)
        self.weights = torch.nn.ParameterList([torch.nn.Parameter(weights[name]) for name in self.names])

    def forward(self, tokens, targets):
        w = dict(zip(self.names, self.weights))
        rows, length = tokens.shape
        half = DIM // HEADS // 2
        frequency = THETA ** (-torch.arange(half, device=tokens.device) / half)
        angles = torch.arange(length, device=tokens.device)[:, None] * frequency
        cos, sin = angles.cos(), angles.sin()

        def rotate(x):
            a, b = x[..., :half], x[..., half:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

        def heads(x):
            return x.view(rows, length, HEADS, -1).transpose(1, 2)

        x = F.embedding(tokens, w["model.embed_tokens.weight"])
        for layer in range(LAYERS):
            of = lambda name: w[f"model.layers.{layer}.{name}.weight"]
            h = F.rms_norm(x, (DIM,), of("input_layernorm"), EPS)
            q, k, v = (heads(F.linear(h, of(f"self_attn.{name}_proj"))) for name in "qkv")
            y = F.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
            x = x + F.linear(y.transpose(1, 2).reshape(rows, length, DIM), of("self_attn.o_proj"))
            h = F.rms_norm(x, (DIM,), of("post_attention_layernorm"), EPS)
            x = x + F.linear(F.silu(F.linear(h, of("mlp.gate_proj"))) * F.linear(h, of("mlp.up_proj")), of("mlp.down_proj"))
        x = F.rms_norm(x, (DIM,), w["model.norm.weight"], EPS)
        logits = F.linear(x, w["model.embed_tokens.weight" if self.is_tied else "lm_head.weight"]).float()
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def steps(folder):
    plan = json.load(open(os.path.join(folder, "tokens.json")))
    model = Model(load_file(os.path.join(folder, "start.safetensors")))
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan["rate"], betas=(0.9, 0.95), eps=1e-8, fused=True)
    rows = plan["rows"]
    size = (len(plan["tokens"]) - 1) // plan["steps"]
    tokens, losses, start = torch.tensor(plan["tokens"]), [], None
    for step in range(plan["steps"]):
        if step == 2:
            start = time.process_time()
        at = step * size
        loss = model(tokens[at:at + size].view(rows, -1), tokens[at + 1:at + size + 1].view(rows, -1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, size * (plan["steps"] - 2) / (time.process_time() - start)


def on_gpu(folder):
    global DIM, HEADS, LAYERS, EPS, THETA
    plan = json.load(open(os.path.join(folder, "plan.json")))
    DIM, HEADS, LAYERS, EPS, THETA = (plan[name] for name in ("dim", "heads", "layers", "eps", "theta"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Model(load_file(os.path.join(folder, "start.safetensors"))).to(device)
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan["rate"], betas=(0.9, 0.95), eps=1e-8, fused=True)
    compiled = torch.compile(model) if device == "cuda" else model
    shape = (plan["steps"], plan["rows"] // plan["micro"], plan["micro"], plan["context"])
    read = lambda name: torch.from_numpy(numpy.fromfile(os.path.join(folder, name), dtype="<u4").astype("int64")).view(shape)
    inputs, targets = read("inputs.u32"), read("targets.u32")
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    losses, start, first = [], None, min(3, plan["steps"] - 1)
    for step in range(plan["steps"]):
        if step == first:
            wait()
            start = time.perf_counter()
        total = 0.0
        for part in range(shape[1]):
            x, y = inputs[step, part].to(device), targets[step, part].to(device)
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = compiled(x, y) / shape[1]
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(total.item())
    wait()
    speed = (plan["steps"] - first) * plan["rows"] * plan["context"] / (time.perf_counter() - start)
    return losses, speed


def compare_on_gpu(bench):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([bench, "gpu"], env={**os.environ, "TAMIS_BENCH_DUMP": folder}, check=True)
        ours = json.load(open(os.path.join(folder, "ours.json")))
        losses, speed = on_gpu(folder)
    worst = max(abs(a - b) / b for a, b in zip(ours["losses"], losses))
    print(f"PyTorch {torch.__version__}: {speed:.0f} tokens/s; ours {ours['tokens_per_second']:.0f}, "
          f"{ours['tokens_per_second'] / speed:.2f} times as fast")
    print(f"losses from {losses[0]:.4f} to {losses[-1]:.4f}; the largest difference is {worst:.2%}")
    assert worst < 0.01, (ours["losses"], losses)


def exported(run):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    folder = os.path.join(run, "model")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "The soil in the lower garden is heavy, and it holds water long after the rest of the beds have dried."
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "text.jsonl")
        json.dump({"text": text}, open(path, "w"))
        binary = os.environ.get("TAMIS", "target/release/tamis")
        ours = subprocess.run([binary, "--log-format", "json", "evaluate", run, "--text", path], capture_output=True, check=True)
    ours = json.loads(ours.stdout)["text"]["loss"]
    ids = torch.tensor([[tokenizer.eos_token_id] + tokenizer.encode(text, add_special_tokens=False)])
    with torch.no_grad():
        theirs = model(ids, labels=ids).loss.item()
    print(f"loss of a text by the exported model: tamis {ours:.6f}, transformers {theirs:.6f}")
    assert abs(ours - theirs) < 1e-4, "the exported model is another"


def main():
    if sys.argv[1] == "--cuda":
        return compare_on_gpu(sys.argv[2])
    bench = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([bench, "train"], env={**os.environ, "TAMIS_BENCH_DUMP": folder}, check=True)
        ours = json.load(open(os.path.join(folder, "ours.json")))
        torch.manual_seed(0)
        losses, speed = steps(folder)
    worst = max(abs(a - b) for a, b in zip(ours["losses"], losses))
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads: {speed:.0f} tokens per CPU second; "
          f"ours {ours['tokens_per_cpu_second']:.0f}, {ours['tokens_per_cpu_second'] / speed:.2f} times as fast")
    print(f"losses from {losses[0]:.6f} to {losses[-1]:.6f}; the largest difference is {worst:.1e}")
    assert worst < 1e-4, (ours["losses"], losses)
    if len(sys.argv) > 2:
        exported(sys.argv[2])


main()
