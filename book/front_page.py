"""Carries the first page's picture and answers, as rendered from the published ledger, into README.md and the social preview.

After `make published`: python book/front_page.py
"""

import base64
import json
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURE = ("backgrounds/eight-ways-to-cut", "fig_eight_ways")
ANSWERS = {  # question: chapter, name of its glued answer
    "Can attention maps tell, without labels, that a model overfits?": ("scribe/scorecard", "answer"),
    "How much do backgrounds matter?": ("backgrounds/scorecard", "answer"),
    "Does noise in the object tell what a model looks at?": ("foregrounds/scorecard", "answer"),
    "Does it help to hide what a model looks at?": ("distraction/scorecard", "answer"),
    "Do the papers' rulers agree, with one another and with the truth?": ("synthesis/agreement", "agree_sentence"),
}
BLOCK = re.compile(r"(?<=<!-- answers -->\n).*?(?=<!-- end of answers -->)", re.DOTALL)


def glued(chapter: str, name: str) -> dict:
    """What a chapter glued under a name, by type."""
    cells = json.loads((ROOT / "book" / "chapters" / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [o for c in cells for o in c.get("outputs", []) if o.get("metadata", {}).get("scrapbook", {}).get("name") == name]
    return {kind.removeprefix("application/papermill.record/"): "".join(v) for kind, v in outputs[0]["data"].items()}


def answer(chapter: str, name: str) -> str:
    """A glued sentence."""
    return glued(chapter, name)["text/plain"].strip("'\"")


if __name__ == "__main__":
    picture = ROOT / "book" / "_static" / "eight-ways.png"
    picture.write_bytes(base64.b64decode(glued(*PICTURE)["image/png"]))
    lines = [f"- **{question}** {answer(*where)}" for question, where in ANSWERS.items()]
    block = "\n".join(textwrap.fill(line, 128, subsequent_indent="  ", break_on_hyphens=False) for line in lines)
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda _: f"\n{block}\n\n", readme.read_text(encoding="utf-8")), encoding="utf-8")
    print(picture, readme)
