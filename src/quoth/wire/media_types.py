"""What bytes are, by how they begin: the media types of files that travel with a call or come as its answer."""

from __future__ import annotations

__all__ = ["ENDINGS", "HEAD", "named", "sniffed"]

HEAD = 64  # bytes that are enough to tell
ENDINGS = {
    "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp", "image/avif": ".avif",
    "image/svg+xml": ".svg", "audio/mpeg": ".mp3", "audio/wav": ".wav", "audio/flac": ".flac", "audio/ogg": ".ogg",
    "audio/mp4": ".m4a", "audio/aac": ".aac", "video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov",
    "application/pdf": ".pdf", "text/plain": ".txt", "text/markdown": ".md", "text/csv": ".csv", "text/html": ".html",
    "application/json": ".json",
}  # fmt: skip
_ALSO = {".jpeg": "image/jpeg", ".htm": "text/html", ".opus": "audio/ogg", ".oga": "audio/ogg", ".m4v": "video/mp4"}
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_BRANDS = {b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"qt  ": "video/quicktime", b"avif": "image/avif"}


def sniffed(head: bytes) -> str | None:
    """The media type by the first bytes of a file; None when they are of no known kind, such as text."""
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    for start, media_type in _STARTS:
        if head.startswith(start):
            return media_type
    if len(head) > 1 and head[0] == 0xFF:
        # A frame of MPEG audio names its layer, II or III; one of AAC in ADTS names none. 0xFF 0xFE is neither, but how
        # text in UTF-16 begins.
        if head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if head[1] & 0xE0 == 0xE0 and head[1] & 0x06 in (0x02, 0x04):
            return "audio/mpeg"
    return None


def named(name: str) -> str | None:
    """The media type by the ending of a name; None for an ending that is not known."""
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    return _ALSO.get(ending) or next((kind for kind, own in ENDINGS.items() if own == ending), None)
