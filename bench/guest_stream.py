# SPDX-License-Identifier: Apache-2.0
"""A migration stream as QEMU 7.2 sends it, of a guest that is made up: what its pages hold is what this machine's programs hold."""
import os
import struct

PAGE_BYTES = 4096
BLOCK = b"pc.ram"
RAM = struct.pack(">I", 2)  # the section's number
ZERO, PAGE, END, CONTINUE = 0x02, 0x08, 0x10, 0x20  # of a page's record
SMALLEST_FILE = 64 << 10


def programs(size):
    """So many bytes of the largest folders of programs there are, over and over if they are too few."""
    found = bytearray()
    for folder in ("/usr/lib", "/usr/bin", "/usr/share"):
        for where, _, names in os.walk(folder):
            for name in sorted(names):
                path = os.path.join(where, name)
                if os.path.islink(path) or os.path.getsize(path) < SMALLEST_FILE:
                    continue
                with open(path, "rb") as file:
                    found += file.read(size - len(found))
                if len(found) >= size:
                    return bytes(found)
    return bytes((found * (size // len(found) + 1))[:size])


def head(memory_bytes):
    return b"".join([b"QEVM", struct.pack(">IB", 3, 7), struct.pack(">I", 10), b"pc-q35-7.2",
                     b"\x01", RAM, b"\x03ram", struct.pack(">IIQ", 0, 4, memory_bytes | 4),
                     bytes([len(BLOCK)]), BLOCK, struct.pack(">Q", memory_bytes), end()])


def end():
    return struct.pack(">Q", END) + b"\x7e" + RAM


def of_pass(pages, again):
    """(page, which content; None: zeroes): a fifth is zero, an eighth holds what another page does; a quarter is sent again, of which a
    third has changed."""
    for page in range(pages):
        kind = (page * 2654435761 >> 7) % 40
        if kind < 8:
            if not again:
                yield page, None
        elif not again or page % 4 == 0:
            changed = again and page % 3 == 0
            yield page, page % 1000 if kind < 13 else page + pages * changed


def record(page, body, named):
    """Of one page; the first of a pass names the block."""
    flags = (ZERO if body is None else PAGE) | (CONTINUE if named else 0)
    return b"".join([struct.pack(">Q", page * PAGE_BYTES | flags), b"" if named else bytes([len(BLOCK)]) + BLOCK,
                     b"\0" if body is None else body])


def write(file, memory_bytes):
    """Writes it into the open file; how many bytes of it say something: what is not zero, once."""
    pages = memory_bytes // PAGE_BYTES
    content = programs(memory_bytes + PAGE_BYTES)

    def body(holds):
        # What has changed lies half a page further: other content, as dense.
        at = None if holds is None else holds % pages * PAGE_BYTES + holds // pages * PAGE_BYTES // 2
        return None if at is None else content[at:at + PAGE_BYTES]

    file.write(head(memory_bytes))
    told = 0
    for again in (False, True):
        file.write(b"\x02" + RAM)
        named = False
        for page, holds in of_pass(pages, again):
            holding = body(holds)
            file.write(record(page, holding, named))
            told += PAGE_BYTES if not again and holding and holding.strip(b"\0") else 0
            named = True
        file.write(end())
    file.write(b"\0")
    return told
