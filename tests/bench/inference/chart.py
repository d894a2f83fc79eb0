"""The chart: how our time divides by the peer's, one bar for each case and thread count."""

from html import escape


def draw(result):
    like = {"f32": ("plain", "fused"), "f16": ("plain", "fused"), "int8": ("int8",)}
    rows = [row for row in result.get("encoder", []) if "ratio" in row and row["peer"].split()[-1] in like.get(row["ours"], ())]
    rows += [row for row in result.get("decoder", []) if "ratio" in row and row["ours"] == "ours"]
    colours = {"f32": "#2b6cb0", "f16": "#38a169", "int8": "#805ad5", "ours": "#dd6b20"}
    left, width, step = 250, 420, 22
    height = 70 + step * len(rows)
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="12" y="22" font-weight="bold">Our time ÷ that of the peer: MiniLM and onnxruntime (f32, int8), SmolLM2 and llama.cpp</text>',
        f'<text x="12" y="40" fill="#555">{escape(result["machine"]["cpu"])}, {escape(result["machine"]["measured"])}</text>',
    ]
    for number, row in enumerate(rows):
        y = 56 + step * number
        colour = colours[row["ours"]]
        kind = "Q4_1" if row["ours"] == "ours" else row["ours"]
        label = f'{row["case"]}, {row["threads"]} thread{"s" if row["threads"] > 1 else ""}, {kind}'
        shapes.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>')
        shapes.append(f'<rect x="{left}" y="{y}" width="{width * min(row["ratio"], 1.2):.0f}" height="{step - 6}" fill="{colour}"/>')
        shapes.append(f'<text x="{left + width * min(row["ratio"], 1.2) + 5:.0f}" y="{y + 12}">{row["ratio"]:.2f}</text>')
    shapes.append(f'<line x1="{left + width}" x2="{left + width}" y1="50" y2="{height - 10}" stroke="#c53030" stroke-dasharray="4"/>')
    return "\n".join(shapes + ["</svg>", ""])
