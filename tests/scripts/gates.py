# SPDX-License-Identifier: MIT
"""Gates over the machine code of the static library: python3 tests/scripts/gates.py FOLDER

Looks at FOLDER/libconvpool.a, built for x86-64 or AArch64. Prints TAP; the last line is 'N passed, N failed'. The gates:

- every global symbol that the library defines begins with convpool_;
- no object needs an instruction that a CPU which gets there may lack: past SSE2 in any but avx2's and avx512's own,
  AVX-512 in avx2's; on AArch64 SVE, SME or the atomics of Armv8.1 in any;
- avx2's and avx512's functions that touch ymm or zmm registers hold a vzeroupper (GCC writes none at -O0);
- these gates find what they must in a small library assembled with every fault, and nothing in one without.
"""
import os
import platform
import re
import subprocess
import sys
import tempfile

# The objects that run on every CPU, before anything is known of it, by the ends of their names.
COMMON = ("choose.c.o", "cpu.c.o", "environment.c.o", "layer.c.o", "shape.c.o", "stages.c.o",
          "status.c.o", "weights.c.o")
# What an instruction set's own objects may hold. Meson names a member after its source; any other name gets the
# strictest rule.
OWN = {"isa_avx2.c.o": ("VEX",), "isa_avx512.c.o": ("VEX", "EVEX")}

PREFIXES = bytes((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
# Past SSE2, but in its opcode maps. Not tzcnt: objdump calls GCC's `rep bsf` so, which runs on every CPU, as bsf.
PAST_SSE2 = re.compile(
    r"(addsub|hadd|hsub)p[sd]|lddqu|mov(d|sh|sl)dup|fisttp.*|monitor|mwait|popcnt|lzcnt|extrq|insertq|movnts[sd]|"
    r"cmpxchg16b|xgetbv|xsave.*|xrstor.*|rd(rand|seed|pid)|(rd|wr)[fg]sbase|\(bad\)")


def x86_needs(code, words):
    """What the instruction needs beyond SSE2, by its encoding; "" for nothing."""
    code = bytes.fromhex(code).lstrip(PREFIXES) + b"\0"  # objdump shows a prefix alone, too
    if code[0] == 0x62:
        return "EVEX"
    if code[0] in (0xC4, 0xC5):
        return "VEX"
    if code[0] == 0x8F and code[1] & 0x1F >= 8:  # pop has less there
        return "XOP"
    if code[0] & 0xF0 == 0x40:  # REX
        code = code[1:]
    if code[:2] in (b"\x0f\x38", b"\x0f\x3a") or any(map(PAST_SSE2.fullmatch, words)):
        return "SSE3 or later"
    return ""


def arm_needs(code, _):
    word = int(code, 16)
    group = word >> 25 & 15
    if group == 2:
        return "SVE"
    if group == 0:
        return "SME" if word >> 31 else "an undefined instruction"
    # Compare and swap; the atomics that return what was there, and ldapr.
    if word & 0x3FA07C00 == 0x08A07C00 or word & 0x3F200C00 == 0x38200000:
        return "Armv8.1 or later"
    return ""


class Machine:
    """An architecture: its tools, and what its instructions need."""

    def __init__(self, name, needs):
        self.name, self.needs = name, needs
        self.tools = "" if platform.machine() == name else name.replace("_", "-") + "-linux-gnu-"

    def tool(self, name, *arguments):
        command = (self.tools + name, *arguments)
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout

    def objects(self, archive):
        """{member: {function: [(what it needs, its words)]}}, of all instructions."""
        members = {}
        for line in self.tool("objdump", "-d", "-w", "--insn-width=16", archive).splitlines():
            member = re.match(r"(.*):\s+file format ", line)
            function = re.match(r"[0-9a-f]+ <(.*)>:$", line)
            body = line.split("\t")
            if member:
                functions = members[member[1]] = {}
            elif function:
                instructions = functions.setdefault(function[1], [])
            elif len(body) > 2:
                words = " ".join(body[2:]).split()
                instructions.append((self.needs(body[1], words), words))
        return members


X86, ARM = Machine("x86_64", x86_needs), Machine("aarch64", arm_needs)


def gates(machine, archive):
    """[(what the gate looked at, [fault])]"""
    objects = machine.objects(archive)
    symbols = [line.split()[-1] for line in machine.tool("nm", "-g", "--defined-only", archive).splitlines()
               if len(line.split()) == 3]
    faults = [f"{name} does not begin with convpool_" for name in symbols if not name.startswith("convpool_")]
    if "convpool_layer_run" not in symbols:
        faults.append("convpool_layer_run is not among them")
    yield f"{len(symbols)} global symbols of {len(objects)} objects begin with convpool_", faults

    count, faults = 0, [f"no object is named {end}" for end in COMMON if not any(o.endswith(end) for o in objects)]
    held = dict.fromkeys(OWN, 0)
    for member, functions in objects.items():
        before = count
        for name, instructions in functions.items():
            for needs, words in instructions:
                count += 1
                if needs in OWN.get(member, ()):
                    held[member] += needs == OWN[member][-1]
                elif needs:
                    faults.append(f"{member}: {name} needs {needs}: {' '.join(words)}")
        if count == before:
            faults.append(f"{member}: no instruction")
    faults += [f"{member}: no {OWN[member][-1]} instruction was seen" for member in held
               if member in objects and not held[member]]
    yield f"{count} instructions of {len(objects)} objects need no more than their instruction set: " + (
        ", ".join(f"{held[member]} {OWN[member][-1]} in {member}" for member in held if member in objects) or
        "none goes further"), faults

    if any(member in objects for member in OWN):
        wide = {f"{member}: {name}": {words[0] for _, words in instructions}
                for member in OWN for name, instructions in objects.get(member, {}).items()
                if re.search(r"%[yz]mm", " ".join(word for _, words in instructions for word in words))}
        faults = [f"{name} holds no vzeroupper" for name in wide if "vzeroupper" not in wide[name]]
        yield f"{len(wide)} functions that touch ymm or zmm registers hold a vzeroupper", faults


PAST = {
    X86: "pshufb %xmm0, %xmm1; pblendw $1, %xmm8, %xmm9; crc32 %al, %ebx; movbe (%rax), %ebx; haddps %xmm0, %xmm1; "
         "addsubpd %xmm0, %xmm1; movddup (%rax), %xmm8; movshdup %xmm0, %xmm1; lddqu (%rax), %xmm0; fisttpll (%rax); "
         "popcnt %rax, %r8; lzcnt %eax, %ebx; vaddss %xmm0, %xmm1, %xmm2; vaddps %ymm0, %ymm1, %ymm2; vzeroupper; "
         "vmovaps %fs:(%eax), %ymm9; vfmadd231ps %ymm0, %ymm1, %ymm2; mulx %rax, %rbx, %rcx; andn %eax, %ebx, %ecx; "
         "kmovw %k0, %eax; vfmaddps %xmm0, %xmm1, %xmm2, %xmm3; vfrczps %xmm0, %xmm1; vaddps %zmm0, %zmm1, %zmm2; "
         "vmovaps %gs:(%eax), %xmm16",
    ARM: "fmla z0.s, p1/m, z2.s, z3.s; ptrue p0.s; cntw x0; ld1w {z0.s}, p0/z, [x0]; "
         "fmopa za0.s, p0/m, p1/m, z0.s, z1.s; "
         "casal x0, x1, [x2]; ldadd w0, w1, [x2]; swpa x0, x1, [x2]; ldaprb w0, [x1]",
}
# Two libraries, {member: assembly}, and how many faults each gate must find: none, and all that there can be.
RUN = "nop; .globl convpool_layer_run; convpool_layer_run:"
TRIALS = {
    X86: [({"isa_avx2": "vaddps %ymm0, %ymm1, %ymm2; vzeroupper", "isa_avx512": "vaddps %zmm0, %zmm1, %zmm2; vzeroupper",
            "choose": "addps %xmm0, %xmm1; movq %r8, %xmm9; lock cmpxchg %rcx, %fs:(%rdx); pause; endbr64",
            "cpu": "tzcnt %eax, %ebx; popq (%rax); pop %r8; cvttps2dq %xmm8, %xmm1; nopw %cs:99(%rax,%rax)",
            "environment": "nop", "layer": RUN, "shape": "nop", "stages": "nop", "status": "nop", "weights": "nop"}, [0, 0, 0]),
          ({"isa_avx2": "vaddps %zmm0, %zmm1, %zmm2; addps %xmm0, %xmm1", # AVX-512, no AVX2, no vzeroupper
            "isa_avx512": "vaddps %ymm0, %ymm1, %ymm2; vfrczps %xmm0, %xmm1", # XOP, no AVX-512, no vzeroupper
            "choose": "nop; .globl helper; helper:", "cpu": "", "layer": PAST[X86]},
           # and neither run, environment, shape, stages, status nor weights
           [2, PAST[X86].count(";") + 1 + 10, 2])],
    ARM: [({"neon": "fmla v0.4s, v1.4s, v2.s[0]", "cpu": "paciasp; ldr x0, [x1, x2]; ldur w0, [x1, #-1]",
            "choose": "ldaxr x0, [x1]; stlxr w2, x0, [x1]; ldar w0, [x1]; ldp x0, x1, [x2]; ldr q0, [x1, x2]",
            "environment": "nop", "layer": RUN, "shape": "nop", "stages": "nop", "status": "nop", "weights": "nop"}, [0, 0]),
          ({"choose": "nop; .globl helper; helper:", "cpu": "", "layer": PAST[ARM]},
           [2, PAST[ARM].count(";") + 1 + 6])],
}


def try_gates(machine):
    march = ["-march=armv9-a+sme"] if machine is ARM else []
    wrong, total = [], 0
    for members, expected in TRIALS[machine]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in members.items():
                with open(folder + "/source.s", "w", encoding="ascii") as source:
                    source.write(f"f: {text}\n".replace(";", "\n"))
                machine.tool("as", *march, folder + "/source.s", "-o", f"{folder}/{name}.c.o")
            machine.tool("ar", "rc", folder + "/library.a", *(f"{folder}/{name}.c.o" for name in members))
            found = [faults for _, faults in gates(machine, folder + "/library.a")]
        if [len(faults) for faults in found] != expected:
            wrong += [f"of a library with {expected} faults:"] + sum(found, [])
        total += sum(expected)
    return f"of a faultless library and of one with {total} faults the gates find as many", wrong


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)) + "/../..")
    if len(sys.argv) != 2 or sys.argv[1] == "--help":
        sys.exit(__doc__)
    archive = sys.argv[1] + "/libconvpool.a"
    with open(archive, "rb") as file:
        content = file.read()
    elf = content.find(b"\x7fELF")
    machine = {b"\x3e\0": X86, b"\xb7\0": ARM}.get(content[elf + 18:elf + 20]) if elf >= 0 else None
    if machine is None:
        sys.exit(f"{archive} holds no machine code of x86-64 or AArch64")
    failed = 0
    results = list(gates(machine, archive)) + [try_gates(machine)]
    for number, (name, faults) in enumerate(results, 1):
        print(f"{'not ' if faults else ''}ok {number} - {machine.name}: {name}")
        for fault in faults[:20]:
            print("# " + fault)
        if len(faults) > 20:
            print(f"# and {len(faults) - 20} more")
        failed += bool(faults)
    print(f"1..{len(results)}\n{len(results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
