"""Checksums of objects: what S3 is told, and what of its answers can be checked here."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from typing import Any, Literal

# Our own name for it: S3's checksum of a file sent in parts is one of the parts' checksums, not of the file.
METADATA = "sha256"
_MD5 = re.compile(r"^[0-9a-f]{32}$")
_BLOCK = 4 << 20


@dataclass(frozen=True)
class Checksum:
    """Of a whole object.

    Attributes:
        kind: how it is made.
        value: in lower-case hex.
    """

    kind: Literal["sha256", "crc32", "md5"]
    value: str

    def fits(self, content: BufferedReader | BytesIO) -> bool:
        """Whether the rest of ``content`` has this checksum."""
        if self.kind != "crc32":
            return hashlib.file_digest(content, self.kind).hexdigest() == self.value
        crc = 0
        while block := content.read(_BLOCK):
            crc = zlib.crc32(block, crc)
        return f"{crc:08x}" == self.value


def checksum_of(head: Any) -> Checksum | None:
    """The best checksum of the whole object that a HEAD with ``ChecksumMode`` told; None if there is none."""
    if METADATA in head.get("Metadata", {}):
        return Checksum("sha256", head["Metadata"][METADATA])
    sha256, crc32 = (_of_whole(head, field) for field in ("ChecksumSHA256", "ChecksumCRC32"))
    if sha256 or crc32:
        return Checksum("sha256", sha256) if sha256 else Checksum("crc32", crc32)
    etag = head.get("ETag", "").strip('"')
    # With a key of KMS or of the customer the ETag is no MD5.
    is_md5 = head.get("ServerSideEncryption", "AES256") == "AES256" and "SSECustomerAlgorithm" not in head
    return Checksum("md5", etag) if is_md5 and _MD5.match(etag) else None


def _of_whole(head: Any, field: str) -> str:
    """In hex; empty if there is none, or one of parts, which is written with a dash."""
    value = head.get(field, "")
    whole = "-" not in value and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    return base64.b64decode(value).hex() if whole else ""


def sha256_base64(data: bytes) -> str:
    """As S3 writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def composite(parts: Sequence[str]) -> str:
    """S3's SHA-256 of an object that was sent in parts, from those of the parts (base64)."""
    whole = hashlib.sha256(b"".join(base64.b64decode(part) for part in parts)).digest()
    return f"{base64.b64encode(whole).decode()}-{len(parts)}"
