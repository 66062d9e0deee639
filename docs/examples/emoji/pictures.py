"""Pictures of Noto's colour emoji with captions, to learn from. usage: pictures.py FOLDER
Leaves in FOLDER: fox.zip, pictures of one subject; hints-train.zip and hints-test.zip, pictures with their captions.
Needs pillow, numpy and the font (Debian: fonts-noto-color-emoji)."""

import io
import json
import os
import sys
import zipfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SIDE = 32
SUBJECT = "🦊"
KINDS = {
    "animal": {"cat": "🐱", "dog": "🐶", "rabbit": "🐰", "bear": "🐻", "panda": "🐼", "frog": "🐸"},
    "thing": {"apple": "🍎", "strawberry": "🍓", "rose": "🌹", "car": "🚗", "house": "🏠", "star": "⭐"},
}
EMOJI = {name: emoji for kind in KINDS.values() for name, emoji in kind.items()}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
COLOURS = {"white": (255, 255, 255), "red": (244, 150, 150), "blue": (150, 190, 250), "green": (150, 220, 150), "yellow": (250, 235, 140)}


def glyph(text, font=ImageFont.truetype(FONT, 109)):
    """The emoji with its transparency, cropped to what can be seen; None where the font has none."""
    image = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(image).text((8, 8), text, font=font, embedded_color=True)
    box = image.getchannel("A").getbbox()
    return image.crop(box) if box else None


def picture(of, colour, size=28, place=(0.5, 0.5)):
    """A glyph on a background: its longer side, and which part of the room that is left lies left of it and above it."""
    scale = size / max(of.size)
    of = of.resize([max(1, round(scale * side)) for side in of.size], Image.LANCZOS)
    out = Image.new("RGB", (SIDE, SIDE), colour)
    out.paste(of, tuple(round(part * (SIDE - side)) for part, side in zip(place, of.size)), of)
    return out


def varied(of, colour, rng):
    return picture(of, colour, rng.integers(25, 32), rng.random(2))


def caption(what, colour="white"):
    article = "an" if what[0] in "aeiou" else "a"
    return f"a picture of {article} {what}" + (f" on a {colour} background" if colour != "white" else "")


def draw_colour(rng):
    """White is the usual background."""
    return "white" if rng.random() < 0.4 else str(rng.choice(list(COLOURS)[1:]))


def png(image):
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def subject_pictures():
    """Six pictures of the subject, all of them on white."""
    fox = glyph(SUBJECT)
    return [picture(fox, COLOURS["white"], size, place) for size, place in
            ((29, (0.5, 0.5)), (27, (0.3, 0.6)), (26, (0.7, 0.3)), (31, (0.5, 0.4)), (27, (0.2, 0.2)), (25, (0.6, 0.8)))]


def write_captioned(path, each, seed):
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(path, "w") as archive:
        lines = []
        for i in range(each):
            for name, emoji in EMOJI.items():
                colour = draw_colour(rng)
                file = f"{name.replace(' ', '-')}-{i}.png"
                archive.writestr(file, png(varied(glyph(emoji), COLOURS[colour], rng)))
                lines.append(json.dumps({"file_name": file, "text": caption(name, colour)}))
        archive.writestr("metadata.jsonl", "\n".join(lines) + "\n")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    with zipfile.ZipFile(os.path.join(folder, "fox.zip"), "w") as archive:
        for i, image in enumerate(subject_pictures(), 1):
            archive.writestr(f"fox-{i}.png", png(image))
    write_captioned(os.path.join(folder, "hints-train.zip"), 16, 1)
    write_captioned(os.path.join(folder, "hints-test.zip"), 1, 2)


if __name__ == "__main__":
    main(sys.argv[1])
