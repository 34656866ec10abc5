"""Bars as SVG, on a logarithmic scale: what is compared differs by factors."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

LABEL, WIDTH, ROW, TOP = 190, 420, 22, 54  # pixels
FONT = 'font-family="system-ui, sans-serif" font-size="12"'
OURS, OTHERS, LIMIT = "#1f6feb", "#8b949e", "#2da44e"


def bars(title: str, unit: str, values: Mapping[str, float], *, fewer_is_better: bool) -> str:
    """Draw one bar for each value, the best one first."""
    ranked = sorted((item for item in values.items() if item[1] > 0), key=lambda item: item[1])
    if not fewer_is_better:
        ranked.reverse()
    low = 10 ** math.floor(math.log10(min(value for _, value in ranked)))
    high = 10 ** math.ceil(math.log10(max(value for _, value in ranked) * 1.0001))
    scale = WIDTH / math.log10(high / low)
    height = TOP + ROW * len(ranked) + 8
    better = "shorter is better" if fewer_is_better else "longer is better"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABEL + WIDTH + 90} {height}" {FONT}>',
        f'<rect width="100%" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-size="14" font-weight="600">{escape(title)}</text>',
        f'<text x="8" y="38" fill="#57606a">{escape(unit)}, logarithmic; {better}</text>',
    ]
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        x = LABEL + (power - math.log10(low)) * scale
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 6}" stroke="#d0d7de"/>')
    for place, (name, value) in enumerate(ranked):
        y = TOP + ROW * place
        length = max(2.0, (math.log10(value) - math.log10(low)) * scale)
        lines += [
            f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{ROW - 7}" fill="{_colour(name)}"/>',
            f'<text x="{LABEL + length + 5:.1f}" y="{y + 12}">{shown(value)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def shown(value: float) -> str:
    """Write a number with as many digits as it is worth."""
    if not value:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _colour(name: str) -> str:
    if name.startswith("agentcore"):
        return OURS
    return LIMIT if name.startswith("direct") else OTHERS


__all__: Sequence[str] = ("bars", "shown")
