"""Which number format a training multiplies in: bfloat16 where the device computes it, float32 elsewhere."""

import torch

from jscc.train.distributed import leads


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 itself.

    device   of torch
    returns  False for a CPU of which oneDNN says that it has no bfloat16 (x86 with AVX2 alone). There such
             convolutions go through a plain loop: a step of preset small takes 33 s in the place of 3. Other devices
             are not asked
    """
    if device.type != "cpu":
        return True
    has_onednn: bool = torch._C._has_mkldnn  # of the build
    return has_onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def half_precision(device: torch.device, *, full: bool) -> bool:
    """Whether a training on this device takes bfloat16; one line says so if it cannot.

    device   that trains
    full     float32 was asked for
    returns  what goes into the settings of the run, and so into run.json
    """
    if full:
        return False
    if computes_bfloat16(device):
        return True
    if leads():
        print(
            "this processor does not compute in bfloat16, which would take ten times as long: training in float32,"
            " as --full-precision does",
            flush=True,
        )
    return False
