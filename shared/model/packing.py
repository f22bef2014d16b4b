"""A model's weights in a quarter of the room: whole numbers from -127 to 127, and a scale for each row of a matrix.

The comparison's page holds its models so. A row's scale is its largest number over 127, so what is lost of a weight is
at most half a scale. Vectors, such as biases, stay as they are: they are few.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from shared.model.language_model import LanguageModel

LARGEST = 127  # of an int8


def scales_of(matrix: Tensor) -> Tensor:
    """A scale for each row: (rows, columns) -> (rows, 1). A row of zeros has 1, since nothing divides by 0."""
    largest = matrix.abs().amax(1, keepdim=True)
    return torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))


def whole_numbers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, columns) in float32 -> scales (rows, 1) in float32, and int8 numbers (rows, columns)."""
    matrix = matrix.detach().float().cpu()
    scales = scales_of(matrix)
    return scales, (matrix / scales).round().to(torch.int8)


@torch.no_grad()
def round_weights(model: nn.Module) -> nn.Module:
    """Replace each matrix of a model by what its packed form holds, in place; returns the model."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            scales, numbers = whole_numbers(parameter)
            parameter.copy_(scales * numbers)
    return model


def layout(model: LanguageModel) -> tuple[list[dict], int]:
    """Where each tensor of a model stands in its packed weights, and how many bytes these are.

    -> name, shape, offset in bytes and kind of each tensor; the bytes in all. Kind "int8": the scales of all rows in
    float32, then the rows. Kind "float32": the numbers. Every tensor begins at a multiple of 4.
    """
    tensors, offset = [], 0
    for name, parameter in model.named_parameters():  # tied weights come once
        kind, size = "float32", 4 * parameter.numel()
        if parameter.dim() > 1:
            kind, size = "int8", 4 * len(parameter) + parameter.numel()
        tensors.append({"name": name, "shape": list(parameter.shape), "offset": offset, "kind": kind})
        offset += size + -size % 4
    return tensors, offset


def pack(model: LanguageModel) -> tuple[list[dict], bytes]:
    """All weights of a model as bytes, little endian, and where each stands in them, as `layout` says."""
    tensors, _ = layout(model)
    parts = []
    for parameter in model.parameters():
        if parameter.dim() > 1:
            scales, numbers = whole_numbers(parameter)
            content = as_bytes(scales, "<f4") + as_bytes(numbers, "i1")
        else:
            content = as_bytes(parameter, "<f4")
        parts.append(content + bytes(-len(content) % 4))
    return tensors, b"".join(parts)


def as_bytes(tensor: Tensor, kind: str) -> bytes:
    """A tensor's numbers, one after the other, each as this kind of NumPy's."""
    return tensor.detach().cpu().numpy().astype(kind).tobytes()


def unpack(tensors: list[dict], content: bytes) -> dict[str, Tensor]:
    """The weights, in float32, that `pack` turned into bytes: name -> tensor."""
    weights = {}
    for tensor in tensors:
        shape, offset = tensor["shape"], tensor["offset"]
        if tensor["kind"] == "float32":
            weights[tensor["name"]] = floats(content, offset, shape)
            continue
        scales = floats(content, offset, [shape[0], 1])  # (rows, 1)
        numbers = np.frombuffer(content, np.int8, math.prod(shape), offset + 4 * shape[0])
        weights[tensor["name"]] = scales * torch.from_numpy(numbers.copy()).reshape(shape)  # (rows, columns)
    return weights


def floats(content: bytes, offset: int, shape: list[int]) -> Tensor:
    """The tensor of this shape whose float32 numbers, little endian, begin at this byte."""
    numbers = np.frombuffer(content, "<f4", math.prod(shape), offset)
    return torch.from_numpy(numbers.astype(np.float32)).reshape(shape)  # a copy: the bytes cannot be written to
