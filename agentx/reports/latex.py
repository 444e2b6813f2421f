"""Text as LaTeX shows it."""

from __future__ import annotations

import re

from agentx.reports.tables import printable

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "λ": r"$\lambda$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "√": r"$\surd$",
    "✓": "(inside)",
    "✗": "(outside)",
    "–": "--",
    "…": r"\dots{}",
    "[": "{[}",
    "]": "{]}",
}
"""characters that are commands, or that pdfLaTeX's fonts lack; brackets, which could end an optional argument"""


def escape_latex(text: str) -> str:
    """One line of plain text, whatever it holds, for pdfLaTeX. Characters it has no glyph for become their number."""
    line = printable(" ".join(text.split()))
    escaped = re.sub("|".join(map(re.escape, SPECIAL)), lambda match: SPECIAL[match.group()], line)
    return "".join(c if ord(c) < 0x250 else f"U+{ord(c):04X}" for c in escaped)
