"""Grids of pictures that base and adapted models make, and figures of them. usage:
    grids.py URL base OUT.png MODEL
    grids.py URL subject OUT.png NAME=MODEL...
    grids.py URL hints OUT.png NAME=MODEL...   (the first has no hints: the base)
MODEL is what reflectd at URL knows it by. Needs what pictures.py needs; for hints also opencv-python-headless."""

import base64
import io
import json
import sys
import urllib.request
import zipfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import pictures

SUBJECT = "v"  # a word of one token that no caption of the base has
SHOWN, GAP, LEFT, TOP = 96, 4, 76, 42
STEPS, GUIDANCE = 25, 3


def generate(url, model, prompt, seed, hint=None):
    body = {"model": model, "prompt": prompt, "seed": seed, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE,
            "response_format": "b64_json"}
    if hint is not None:
        body["conditioning_image"] = base64.b64encode(pictures.png(hint)).decode()
    request = urllib.request.Request(url + "/v1/images/generations", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return Image.open(io.BytesIO(base64.b64decode(json.load(answer)["data"][0]["b64_json"]))).convert("RGB")


# --- grids ----------------------------------------------------------------------------------------------

def lines_of(text, width=17):
    lines = [""]
    for word in text.split():
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [lines[-1], word]
    return "\n".join(lines)


def grid(path, rows, columns=()):
    """rows: [(name, pictures)]; columns: what stands above them."""
    top = TOP if columns else 0
    step = SHOWN + GAP
    out = Image.new("RGB", (LEFT + step * max(len(row) for _, row in rows), top + step * len(rows)), (255, 255, 255))
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(10)
    for i, text in enumerate(columns):
        draw.multiline_text((LEFT + step * i + 1, 1), lines_of(text), (0, 0, 0), font=font, spacing=1)
    for j, (name, row) in enumerate(rows):
        draw.multiline_text((2, top + step * j + SHOWN // 2 - 8), name, (0, 0, 0), font=font)
        for i, image in enumerate(row):
            at = (LEFT + step * i, top + step * j)
            out.paste(image.resize((SHOWN, SHOWN), Image.BICUBIC), at)
            draw.rectangle((at[0] - 1, at[1] - 1, at[0] + SHOWN, at[1] + SHOWN), outline=(200, 200, 200))
    out.quantize(256).save(path, optimize=True)


# --- figures: the emoji that a picture is nearest to, in pixels -----------------------------------------------

def background(image):
    """The median of the border."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return np.median(border, axis=0)


def colour_of(image):
    """The name of the background that is nearest to the picture's."""
    is_off = {name: np.abs(background(image) - colour).max() for name, colour in pictures.COLOURS.items()}
    return min(is_off, key=is_off.get)


def cropped(image):
    """What stands out of the background, as a square of 32 x 32 on white."""
    behind = background(image)
    seen = np.abs(image - behind).max(axis=2) > 40
    if not seen.any():
        return np.full((32, 32, 3), 255.0)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    part = np.where(seen[..., None], image, 255)[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    side = max(part.shape)
    square = np.full((side, side, 3), 255, np.uint8)
    y, x = (side - part.shape[0]) // 2, (side - part.shape[1]) // 2
    square[y:y + part.shape[0], x:x + part.shape[1]] = part
    return np.asarray(Image.fromarray(square).resize((32, 32), Image.BOX), float)


def templates():
    """{(name, colour): pixels}, the subject among them."""
    known = pictures.EMOJI | {SUBJECT: pictures.SUBJECT}
    return {(name, colour): cropped(np.asarray(pictures.picture(pictures.glyph(emoji), rgb), float))
            for name, emoji in known.items() for colour, rgb in pictures.COLOURS.items()}


def nearest(image, known):
    pixels = np.asarray(image, float)
    colour, part = colour_of(pixels), cropped(pixels)
    is_off = {name: np.abs(part - one).mean() for (name, on), one in known.items() if on == colour}
    return min(is_off, key=is_off.get), colour, is_off


def measure(url, model, known):
    """Of pictures of the subject on each background: the share that is nearest to it, how far they are off, the share with that
    background; of the captions that the base knows: the share that is nearest to its own emoji."""
    subject, behind, off = [], [], []
    for i, colour in enumerate(pictures.COLOURS):
        for seed in range(4):
            name, on, is_off = nearest(generate(url, model, pictures.caption(SUBJECT, colour), 1000 * i + seed), known)
            subject.append(name == SUBJECT)
            behind.append(on == colour)
            off.append(is_off[SUBJECT])
    others = [nearest(generate(url, model, pictures.caption(name), 7), known)[0] == name for name in pictures.EMOJI]
    return np.mean(subject), np.mean(off), np.mean(behind), np.mean(others)


# --- what is shown --------------------------------------------------------------------------------------

def base(url, path, model):
    names = list(pictures.EMOJI)
    images = {name: generate(url, model, pictures.caption(name), 7) for name in names}
    known = templates()
    right = [nearest(image, known)[0] == name for name, image in images.items()]
    print(f"{sum(right)} of {len(right)} pictures are nearest to the emoji of their caption; not {[n for n, r in zip(names, right) if not r]}")
    emoji = {name: pictures.picture(pictures.glyph(pictures.EMOJI[name]), pictures.COLOURS["white"]) for name in names}
    grid(path, [(row, [of[name] for name in part]) for part in (names[:6], names[6:]) for row, of in (("emoji", emoji), ("made", images))])


def subject(url, path, *models):
    prompts = [(pictures.caption(SUBJECT), 1), (pictures.caption(SUBJECT), 2), (pictures.caption(SUBJECT), 3),
               (pictures.caption(SUBJECT, "blue"), 1), (pictures.caption(SUBJECT, "green"), 2), (pictures.caption(SUBJECT, "red"), 3),
               (pictures.caption("cat"), 1), (pictures.caption("car", "yellow"), 2)]
    rows, known = [("the subject's\npictures", pictures.subject_pictures())], templates()
    print("| | is the subject | off by | has the background | others are themselves |\n|---|---:|---:|---:|---:|")
    for name, model in (each.split("=", 1) for each in models):
        rows.append((name, [generate(url, model, prompt, seed) for prompt, seed in prompts]))
        share, off, behind, others = measure(url, model, known)
        print(f"| {name} | {share:.0%} | {off:.1f} | {behind:.0%} | {others:.0%} |", flush=True)
    grid(path, rows, [prompt for prompt, _ in prompts])


def edges(image):
    import cv2
    return cv2.Canny(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR), 100, 200) > 0


def likeness(image, hint):
    found, wanted = edges(image), np.asarray(hint)[..., 0] > 0
    both, one = (found & wanted).sum(), (found | wanted).sum()
    return both / one if one else 1


def hints(url, path, *models):
    with zipfile.ZipFile("hints-test.zip") as archive:
        lines = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
        known = [(line["text"], Image.open(io.BytesIO(archive.read(line["file_name"]))).convert("RGB")) for line in lines]
    known.append((pictures.caption("animal"), pictures.subject_pictures()[2]))
    drawn = [Image.fromarray(np.repeat(255 * edges(image)[..., None].astype(np.uint8), 3, 2)) for _, image in known]
    shown = (0, 2, 4, 5, 7, 9, 10, 12)
    rows = [("picture", [known[i][1] for i in shown]), ("its edges:\nthe hint", [drawn[i] for i in shown])]
    for number, (name, model) in enumerate(each.split("=", 1) for each in models):
        made = [generate(url, model, text, 5, hint if number else None) for (text, _), hint in zip(known, drawn)]
        alike = [likeness(image, hint) for image, hint in zip(made, drawn)]
        print(f"{name}: IoU of edges {np.mean(alike[:-1]):.3f}; by the hint of what the base does not know {alike[-1]:.3f}", flush=True)
        rows.append((name, [made[i] for i in shown]))
    grid(path, rows, [known[i][0] for i in shown])


if __name__ == "__main__":
    {"base": base, "subject": subject, "hints": hints}[sys.argv[2]](sys.argv[1], *sys.argv[3:])
