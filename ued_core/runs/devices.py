"""Where runs can be executed on this machine, found without importing torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]
"""What a spec may ask for; ``mps`` is Apple's GPU, which ``auto`` never takes."""


@dataclass(frozen=True)
class Slot:
    """Room for one run at a time.

    Attributes:
        name: ``cpu:0``, ``cuda:1``; unique on the machine.
        visible: value of ``CUDA_VISIBLE_DEVICES`` for its worker; empty hides every GPU.
        label: for people, ``GPU 1, NVIDIA A100``.
        quick: it takes runs of some seconds only (:attr:`ued_core.runs.spec.RunSpec.quick`), so that none waits behind
            a long one.
    """

    name: str
    visible: str
    label: str
    quick: bool = False

    @property
    def gpu(self) -> bool:
        """Whether the slot is a GPU."""
        return self.name.startswith("cuda")


def slots() -> tuple[Slot, ...]:
    """One slot a visible GPU, and ``UED_SLOTS`` (default 1) for the processor."""
    wanted = os.environ.get("UED_SLOTS", "")
    count = int(wanted) if wanted.isdigit() and int(wanted) else 1
    cpu = tuple(Slot(f"cpu:{k}", "", "CPU" if count == 1 else f"CPU, slot {k + 1} of {count}") for k in range(count))
    gpu = tuple(Slot(f"cuda:{k}", visible, label) for k, (visible, label) in enumerate(gpus()))
    return (*gpu, *cpu)


def lanes() -> tuple[Slot, ...]:
    """:func:`slots`, and where nobody has set their number, one more for quick runs on a processor with cores to
    spare."""
    spare = (os.cpu_count() or 1) > 1 and not os.environ.get("UED_SLOTS", "")
    return (*slots(), Slot("cpu:quick", "", "CPU, for quick runs", quick=True)) if spare else slots()


def suits(slot: Slot, device: str, any_gpu: bool, quick: bool = False) -> bool:
    """Whether a run that asks for ``auto``, ``cpu``, ``cuda`` or ``mps`` may use the slot.

    Without any GPU a run that asks for one goes to the processor's slot, where its worker says
    that there is none. A run on ``mps`` always takes that slot: the processor feeds Apple's GPU and shares its memory.
    """
    return (quick or not slot.quick) and slot.gpu == (any_gpu and device not in ("cpu", "mps"))


def gpus() -> list[tuple[str, str]]:
    """The GPUs that this process may use: their name for ``CUDA_VISIBLE_DEVICES``, and a label."""
    found = _listed()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [(uuid, label) for _, uuid, label in found]
    kept = []
    for name in filter(None, (part.strip() for part in chosen.split(","))):
        match = [label for index, uuid, label in found if name == index or uuid.startswith(name)]
        if not match:
            # As CUDA does: a name that is no GPU hides itself and all that follow.
            break
        kept.append((name, match[0]))
    return kept


def _listed() -> list[tuple[str, str, str]]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        text = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_listing(text)


def parse_listing(text: str) -> list[tuple[str, str, str]]:
    """Index, UUID and label of every usable device in the output of ``nvidia-smi -L``.

    A GPU that is divided into MIG instances is replaced by them; they have no index of their own.
    """
    found: list[tuple[str, str, str]] = []
    for line in text.splitlines():
        if whole := re.match(r"GPU (\d+): (.+?) \(UUID: (GPU-[^)]+)\)", line):
            found.append((whole[1], whole[3], f"GPU {whole[1]}, {whole[2]}"))
            parent = whole
        elif part := re.match(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)", line):
            if found and found[-1][1] == parent[3]:
                found.pop()
            found.append(("", part[3], f"GPU {parent[1]}, {parent[2]}, MIG {part[1]}"))
    return found
